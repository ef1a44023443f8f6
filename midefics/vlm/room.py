"""A configuration and the GPU at hand in, an error with the way out where the run would not fit."""

import logging
from pathlib import Path

import torch

from midefics.base_models import base_model
from midefics.config import RunConfig
from midefics.errors import ModelError
from midefics.planning.memory import Fit, fits
from midefics.vlm.shape import architecture, shape_of

log = logging.getLogger(__name__)


def gpu_bytes() -> int | None:
    """What this process may take of the GPU: what is free, and what it holds already; None where there is no GPU."""
    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved())


def check_room(config: RunConfig, home: Path, longest: int | None, available: int | None) -> Fit | None:
    """Asks the plan whether the run fits; before the weights are loaded nobody has to wait for an error.

    Args:
        config: the run's.
        home: where base models that were built here lie.
        longest: tokens of the longest sample; `train.max_length` where it is not known yet.
        available: bytes that the process may take; None: there is no GPU, and nothing is asked.

    Raises:
        ModelError: it does not fit.
    """
    if available is None:
        return None
    if base_model(config.base_model).architecture != "idefics":
        log.info("train: no plan can be made for %s; its memory is not checked", config.base_model)
        return None
    shape = shape_of(config.base_model, architecture(config.base_model, home), config.train.lora)
    fit = fits(config.train, shape, available, longest)
    if not fit.fits:
        raise ModelError(
            f"{config.base_model}: training needs {fit.memory.total / 1e9:.1f} GB and the GPU has {available / 1e9:.1f} GB free; "
            f"what would fit: {'; '.join(fit.ways_out)}. `midefics train --plan` shows the parts"
        )
    log.info(
        "train: needs %.1f of the GPU's %.1f GB by plan, gradient checkpointing %s",
        fit.memory.total / 1e9,
        available / 1e9,
        "on" if fit.checkpointing else "off",
    )
    return fit


def settle(config: RunConfig, home: Path, longest: int, available: int | None) -> RunConfig:
    """The same, with gradient checkpointing that is left to memory decided by the plan; unchanged where there is none.

    Raises:
        ModelError: it does not fit.
    """
    fit = check_room(config, home, longest, available)
    if fit is None or config.train.gradient_checkpointing != "auto":
        return config
    decided = {"gradient_checkpointing": "on" if fit.checkpointing else "off"}
    return config.model_copy(update={"train": config.train.model_copy(update=decided)})
