"""The archives we can read: a name in the configuration, one file here, one line in the table."""

from midefics.errors import ConfigError
from midefics.sources import dicom, hf_dataset, isic, mura, path_vqa, roco, slake, vqa_med, vqa_rad
from midefics.sources.archive import Source

SOURCES: dict[str, Source] = {
    "dicom": dicom.SOURCE,
    "hf_dataset": hf_dataset.SOURCE,
    "isic": isic.SOURCE,
    "mura": mura.SOURCE,
    "path_vqa": path_vqa.SOURCE,
    "roco": roco.SOURCE,
    "slake": slake.SOURCE,
    "vqa_med": vqa_med.SOURCE,
    "vqa_rad": vqa_rad.SOURCE,
}


def source(name: str) -> Source:
    """Looks an archive's reader up.

    Raises:
        ConfigError: there is no such line in the table.
    """
    if name not in SOURCES:
        raise ConfigError(
            f"sources.{name}: not one of {', '.join(SOURCES)}; an archive of your own is a file in sources/"
        )
    return SOURCES[name]
