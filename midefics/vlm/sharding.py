"""A loaded model in, the same with every weight spread over the processes out (FSDP2, fully_shard).

Not through the Trainer's own option, which on a CPU quietly trains with DDP instead.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from midefics.errors import ModelError
from midefics.vlm.load import Loaded


def shard(loaded: Loaded) -> None:
    """Spreads the weights; each block fetches its own when it is reached, and lets go of them after.

    Raises:
        ModelError: a weight is still whole afterwards.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    for module in loaded.model.modules():
        if type(module).__name__ in loaded.family.blocks:
            fully_shard(module, mesh=mesh)
    fully_shard(loaded.model, mesh=mesh)
    # Generating enters the model by another door than training.
    register_fsdp_forward_method(loaded.model, "generate")
    left = [name for name, weight in loaded.model.named_parameters() if not isinstance(weight, DTensor)]
    if left:
        raise ModelError(f"train.parallel: fsdp: {left[0]} and {len(left) - 1} more weights were not spread")


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor; of one that is spread, all processes have to ask together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, pattern: torch.Tensor) -> torch.Tensor:
    """The whole tensor, spread as the pattern is."""
    if not isinstance(pattern, DTensor):
        return tensor
    return distribute_tensor(tensor.to(pattern.device), pattern.device_mesh, pattern.placements)


def whole_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's state with all its tensors whole, on the CPU."""
    kept = {number: {name: _whole(value) for name, value in one.items()} for number, one in state["state"].items()}
    return {**state, "state": kept}


def spread_state(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The same, as the optimizer's parameters are spread."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept = {
        number: {name: like(value, parameters[number]) if name != "step" else value for name, value in one.items()}
        for number, one in state["state"].items()
    }
    return {**state, "state": kept}


def _whole(value: Any) -> Any:
    return whole(value).cpu() if isinstance(value, torch.Tensor) else value
