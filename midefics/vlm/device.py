"""A base model's needs in, before anything is loaded; a clear error out where this machine's GPU can't meet them."""

from typing import NamedTuple

import torch

from midefics.base_models import BASE_MODELS
from midefics.errors import BusyError, ModelError


class Gpu(NamedTuple):
    """What a GPU has, GB."""

    name: str
    free: float
    total: float


def check_device(base_model: str) -> None:
    """Looks whether the model's 4-bit weights, an adapter and CUDA itself have room; what a batch takes comes on top.

    Raises:
        ModelError: there is no GPU and the model needs one, or it is too small.
        BusyError: it is large enough, but others hold its memory.
    """
    needed = BASE_MODELS[base_model].gpu_gb
    if needed:
        require(base_model, needed, gpu())


def gpu() -> Gpu | None:
    """The GPU that training would use; None where torch sees none.

    Raises:
        BusyError: it is there, and refuses us.
    """
    if not torch.cuda.is_available():
        return None
    try:
        free, total = torch.cuda.mem_get_info()
    except RuntimeError as error:
        raise BusyError(f"the GPU refuses another process ({str(error).splitlines()[0]}); try again later") from error
    return Gpu(torch.cuda.get_device_name(), free / 1e9, total / 1e9)


def require(base_model: str, needed_gb: float, found: Gpu | None) -> None:
    """Compares; raises as `check_device` does."""
    if found is None:
        cuda = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise ModelError(
            f"{base_model} needs an NVIDIA GPU with at least {needed_gb:.0f} GB, and torch ({cuda}) sees none; "
            "check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or take base_model: tiny-idefics"
        )
    if found.total < needed_gb:
        raise ModelError(
            f"{base_model} needs at least {needed_gb:.1f} GB of GPU memory; {found.name} has {found.total:.1f}. "
            "Take a larger GPU, or a smaller base model"
        )
    if found.free < needed_gb:
        raise BusyError(
            f"{base_model} needs at least {needed_gb:.1f} GB of GPU memory; of the {found.total:.1f} of {found.name} "
            f"only {found.free:.1f} are free. `nvidia-smi` tells who has the rest; end it, wait, or choose another "
            "GPU with CUDA_VISIBLE_DEVICES"
        )
