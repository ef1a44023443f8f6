"""Pictures in, what the frozen vision tower and perceiver make of them out: computed once, kept, read from disk after that.

    cache/frozen/FINGERPRINT/DIGEST.safetensors     512 pictures' outputs and their digests, mapped into memory

The fingerprint covers all that the outputs depend on: the towers' weights as they are multiplied (base model, revision and
quantisation in one), their type, the picture processor, the libraries. Parts are written aside and renamed: what was
killed half way goes on where it was, and two processes that do the same write the same file.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bitsandbytes
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

from midefics.errors import ModelError
from midefics.pictures import BROKEN
from midefics.vlm.collate import Picture
from midefics.vlm.families.idefics import pixels
from midefics.vlm.load import Loaded

log = logging.getLogger(__name__)

TOWERS = ("vision_model", "perceiver_resampler")
PER_PART, AT_ONCE = 512, 16
"""Pictures in a file, and in a forward."""


class FrozenOutputs(Mapping[str, torch.Tensor]):
    """What the towers make of a picture, `(latents, width)`, by `digest`."""

    def __init__(self, folder: Path) -> None:
        self._rows: dict[str, tuple[Any, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            part = safe_open(path, framework="pt")
            digests = json.loads(part.metadata()["digests"])
            outputs = part.get_slice("outputs")
            self._rows |= {digest: (outputs, row) for row, digest in enumerate(digests)}

    def __getitem__(self, digest: str) -> torch.Tensor:
        outputs, row = self._rows[digest]
        return outputs[row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def frozen_outputs(loaded: Loaded, pictures: Mapping[str, Picture], folder: Path, most_gb: float) -> FrozenOutputs:
    """Computes what is not kept yet, and opens all.

    Args:
        loaded: the model, of a family that can be shown them; its towers must carry no adapter.
        pictures: by `digest`. One that can't be decoded is left out.
        folder: of the outputs of every model.
        most_gb: what this model's may take.

    Raises:
        ModelError: the towers learn, or there is no room.
    """
    own = folder / fingerprint(loaded)
    own.mkdir(parents=True, exist_ok=True)
    kept = FrozenOutputs(own)
    missing = sorted(set(pictures) - set(kept))
    if not missing:
        return kept
    _check_room(own, len(kept) + len(missing), len(missing), loaded, most_gb)
    for start in range(0, len(missing), PER_PART):
        chosen = {digest: pictures[digest] for digest in missing[start : start + PER_PART]}
        _write(own, *_computed(loaded, chosen))
    size = sum(path.stat().st_size for path in own.glob("*.safetensors"))
    log.info("frozen outputs: %s pictures more, %.1f MB in %s", len(missing), size / 1e6, own)
    return FrozenOutputs(own)


def digest(picture: Picture) -> str:
    """SHA-256 of a picture's file, or of its pixels where it never was one."""
    if isinstance(picture, bytes):
        return hashlib.sha256(picture).hexdigest()
    return hashlib.sha256(f"{picture.mode} {picture.size}".encode() + picture.tobytes()).hexdigest()


def fingerprint(loaded: Loaded) -> str:
    """Of everything that the outputs depend on, 16 hexadecimal digits.

    Raises:
        ModelError: the towers learn.
    """
    versions = [library.__version__ for library in (torch, transformers, bitsandbytes)]
    settings = [loaded.processor.image_processor.to_json_string(), str(loaded.model.device.type), *versions]
    result = hashlib.sha256("\n".join(settings).encode())
    for name, tensor in sorted(_weights(loaded).items()):
        result.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        result.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return result.hexdigest()[:16]


def _towers(loaded: Loaded) -> list[torch.nn.Module]:
    return [getattr(loaded.plain.model, name) for name in TOWERS]


def _weights(loaded: Loaded) -> dict[str, torch.Tensor]:
    weights: dict[str, Any] = {}
    for name, tower in zip(TOWERS, _towers(loaded), strict=True):
        learning = [inner for inner, weight in tower.named_parameters() if weight.requires_grad or "lora_" in inner]
        if learning:
            raise ModelError(f"train.frozen_outputs: {name}.{learning[0]} learns; set train.lora.targets: text")
        weights |= {f"{name}.{inner}": tensor for inner, tensor in tower.state_dict().items()}
    return {name: tensor for name, tensor in weights.items() if isinstance(tensor, torch.Tensor)}


def _check_room(folder: Path, total: int, missing: int, loaded: Loaded, most_gb: float) -> None:
    config = loaded.model.config
    values = config.perceiver_config.resampler_n_latents * config.vision_config.embed_dim
    each = values * loaded.model.dtype.itemsize
    free = shutil.disk_usage(folder).free
    if total * each > most_gb * 1e9:
        raise ModelError(
            f"the outputs of {total:,} pictures take {total * each / 1e9:.3f} GB, more than train.frozen_outputs_gb="
            f"{most_gb:g}; raise it, or empty {folder}"
        )
    if missing * each > 0.95 * free:
        raise ModelError(
            f"{folder}: the outputs of {missing:,} pictures take {missing * each / 1e9:.3f} GB, {free / 1e9:.3f} are free; "
            "free some, set MIDEFICS_HOME to a larger disk, or leave train.frozen_outputs out"
        )


@torch.no_grad()
def _computed(loaded: Loaded, pictures: Mapping[str, Picture]) -> tuple[list[str], torch.Tensor]:
    """Not under autocast, in the model's own type: what the forward of a frozen model gives."""
    digests, decoded = [], []
    for name, picture in pictures.items():
        try:
            decoded.append(pixels([picture], loaded.processor)[0])
            digests.append(name)
        except BROKEN as error:
            log.warning("frozen outputs: picture %s can't be decoded: %s", name[:16], error)
    vision, perceiver = _towers(loaded)
    loaded.model.eval()
    made = []
    for start in range(0, len(decoded), AT_ONCE):
        batch = torch.cat(decoded[start : start + AT_ONCE]).to(loaded.model.device, loaded.model.dtype)
        made.append(perceiver(vision(pixel_values=batch).last_hidden_state).cpu())
    return digests, torch.cat(made) if made else torch.zeros(0)


def _write(folder: Path, digests: list[str], outputs: torch.Tensor) -> None:
    if not digests:
        return
    path = folder / f"{hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}.safetensors"
    aside = path.with_suffix(f".{os.getpid()}")
    save_file({"outputs": outputs.contiguous()}, aside, metadata={"digests": json.dumps(digests)})
    aside.replace(path)
