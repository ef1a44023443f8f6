"""A GPU's name in, what its maker says of it and what we assume of it out."""

from typing import NamedTuple

from midefics.errors import ConfigError

GIB = 1024**3


class Gpu(NamedTuple):
    """One row of the table."""

    name: str
    teraflops: float
    """Dense, 16 bit with float32 sums, by the maker's data sheet; those for sparse matrices are twice as high."""
    memory_gib: float
    """What CUDA reports as the whole; a little under the nominal size."""
    gigabytes_per_second: float
    """Of memory."""
    utilisation: float
    """Assumed: the share of the peak that large 16-bit products reach here. The T4's is what the original's own log comes to: 26 to 29 s for 16 conversations."""
    bfloat16: bool = True

    @property
    def memory_bytes(self) -> int:
        """Of the whole card."""
        return int(self.memory_gib * GIB)


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("T4", 65, 14.6, 320, 0.11, bfloat16=False),
        Gpu("V100-16", 125, 15.8, 900, 0.35, bfloat16=False),
        Gpu("A10G", 70, 22.0, 600, 0.45),
        Gpu("L4", 121, 22.0, 300, 0.35),
        Gpu("RTX 3090", 71, 23.6, 936, 0.45),
        Gpu("RTX 4090", 165, 23.6, 1008, 0.45),
        Gpu("A100-40", 312, 39.4, 1555, 0.45),
        Gpu("L40S", 362, 44.4, 864, 0.35),
        Gpu("A100-80", 312, 79.1, 2039, 0.45),
        Gpu("H100", 989, 79.1, 3350, 0.40),
        Gpu("H200", 989, 139.8, 4800, 0.40),
    )
}


def gpu(name: str) -> Gpu:
    """Looks one up, whatever the case and spaces: `rtx4090`, `a100-80`.

    Raises:
        ConfigError: there is no such row.
    """
    plain = {_plain(known): row for known, row in GPUS.items()}
    if _plain(name) not in plain:
        raise ConfigError(f"--gpu {name}: not one of {', '.join(GPUS)}")
    return plain[_plain(name)]


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
