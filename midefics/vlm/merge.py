"""A quantised base and an adapter in, their sum out in bfloat16: shard by shard, so that 9 billion parameters need little memory.

The sum is of what was trained on: the base's 4-bit weights unpacked to float32, not the weights before quantisation.
"""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from bitsandbytes.functional import QuantState, dequantize_4bit
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from midefics.errors import ModelError
from midefics.vlm.families import Family, family_of, model_type_at

log = logging.getLogger(__name__)

SHARD_BYTES = 2_000_000_000
INDEX = "model.safetensors.index.json"
STATE = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state.bitsandbytes__nf4")
"""What bitsandbytes stores beside a 4-bit weight, under its name."""


class Adapter(NamedTuple):
    """What an adapter adds to the weights it changes."""

    factors: dict[str, tuple[torch.Tensor, torch.Tensor]]
    """By the weight's name in a saved file: `(r, inputs)` and `(outputs, r)`."""
    scale: float

    @classmethod
    def read(cls, folder: Path, family: Family) -> "Adapter":
        """Reads one that peft saved, of a model of a family.

        Raises:
            ModelError: it does more than add a product of two matrices, which a merge here knows nothing of.
        """
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        others = [name for name in ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern") if config.get(name)]
        if config["peft_type"] != "LORA" or others:
            raise ModelError(
                f"{folder}: only a plain LoRA adapter can be merged, not one with {', '.join(others) or config['peft_type']}"
            )
        tensors = load_file(folder / "adapter_model.safetensors")
        factors = {}
        for name, down in tensors.items():
            if name.endswith(".lora_A.weight"):
                plain = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
                factors[family.saved_name(plain)] = (down.float(), tensors[name.replace("lora_A", "lora_B")].float())
        rank = config["r"] ** 0.5 if config.get("use_rslora") else config["r"]
        return cls(factors, config["lora_alpha"] / rank)

    def added_to(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The weight with what this adapter adds, in float32; as it was where it adds nothing."""
        if name not in self.factors:
            return weight
        down, up = self.factors[name]
        return weight.float() + self.scale * (up @ down)


def merge(
    base: Path,
    adapter: Path,
    folder: Path,
    done: Callable[[int], None] = lambda _: None,
    shard_bytes: int = SHARD_BYTES,
) -> int:
    """Writes the sum as a model of its own, in bfloat16; returns the number of weights that the adapter changed.

    Args:
        base: a folder with a model in nf4, as `save_pretrained` writes one.
        adapter: a folder that peft saved.
        folder: where to; must be there.
        done: told the tensors after each of them.
        shard_bytes: of a file, at most, unless a single tensor is larger.

    Raises:
        ModelError: the adapter changes a weight that the base does not have, or is not plain LoRA.
    """
    added = Adapter.read(adapter, family_of(model_type_at(base)))
    left = set(added.factors)
    shards = _Shards(folder, shard_bytes)
    for name, weight in weights(base):
        left.discard(name)
        shards.add(name, added.added_to(name, weight).to(torch.bfloat16).contiguous())
        done(1)
    if left:
        raise ModelError(f"{adapter} changes {len(left)} weights that {base} does not have, {min(left)} say")
    shards.close()
    _write_config(base, folder)
    return len(added.factors)


def weights(base: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight of a model in nf4, one at a time: those of 4 bit unpacked to float32."""
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            names = set(tensors.keys())
            for name in sorted(names):
                if name.endswith(STATE):
                    continue
                weight = tensors.get_tensor(name)
                if f"{name}{STATE[0]}" in names:
                    parts = {
                        f"{name}{end}": tensors.get_tensor(f"{name}{end}") for end in STATE if f"{name}{end}" in names
                    }
                    yield name, _unpacked(weight, parts, name)
                else:
                    yield name, weight


def _unpacked(packed: torch.Tensor, parts: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    beside = {key.removeprefix(f"{name}."): tensor for key, tensor in parts.items()}
    state = QuantState.from_dict(beside, device=torch.device("cpu"))
    state.dtype = torch.float32
    return dequantize_4bit(packed, state)


class _Shards:
    """Files of limited size, and the index that transformers finds them by."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._waiting: dict[str, torch.Tensor] = {}
        self._bytes = self._total = 0
        self._files: list[tuple[Path, list[str]]] = []

    def add(self, name: str, tensor: torch.Tensor) -> None:
        if self._waiting and self._bytes + tensor.nbytes > self.most:
            self._write()
        self._waiting[name] = tensor
        self._bytes += tensor.nbytes

    def close(self) -> None:
        self._write()
        named: dict[str, str] = {}
        for number, (part, names) in enumerate(self._files, 1):
            final = f"model-{number:05d}-of-{len(self._files):05d}.safetensors"
            part.rename(self.folder / final)
            named |= dict.fromkeys(names, final)
        index = {"metadata": {"total_size": self._total}, "weight_map": named}
        (self.folder / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")

    def _write(self) -> None:
        path = self.folder / f"part-{len(self._files):05d}.safetensors"
        save_file(self._waiting, path, {"format": "pt"})
        self._files.append((path, list(self._waiting)))
        self._total += self._bytes
        self._waiting, self._bytes = {}, 0


def _write_config(base: Path, folder: Path) -> None:
    config: dict[str, Any] = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    config["dtype"] = "bfloat16"
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
