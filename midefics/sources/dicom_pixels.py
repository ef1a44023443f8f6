"""A DICOM file in; its header, and its picture as a person would see it on a screen, out."""

import io
import logging
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from midefics.pictures import MAX_PIXELS
from midefics.sources.reading import shown

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

MARK = b"DICM"
"""Stands at byte 128 of every DICOM file."""
DEFLATED = "1.2.840.10008.1.2.1.99"
"""The one transfer syntax that compresses the header too: a small file may unpack to any size before it says what it is."""
MAX_EXCESS = 1.1
"""How many times longer than the header says the pixel data may be; some devices pad them."""
PERCENTILES = (0.5, 99.5)
"""Of the values: what is black and what is white where a file gives no window."""


class UnfitError(ValueError):
    """The file holds no picture that can be shown here."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read(file: BinaryIO, only: tuple[str, ...] | None = None) -> "Dataset":
    """Reads the whole file, or these elements of its header.

    Raises:
        UnfitError: another kind of file, or compressed in a way that nothing installed here can undo.
        Exception: pydicom raises nearly anything on a broken file.
    """
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag
    from pydicom.uid import UID

    _hush()
    file.seek(128)
    if file.read(len(MARK)) != MARK:
        raise UnfitError("not DICOM", "no DICM at byte 128")
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    _require_decodable(syntax)
    dataset = read_dataset(
        file,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=(lambda tag, *_: tag >> 16 >= 0x7FE0) if only else None,
        specific_tags=[Tag(name) for name in only] if only else None,
    )
    dataset.file_meta = meta  # type: ignore[assignment] # of the class that every header has
    dataset.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    return dataset


def _require_decodable(syntax: "UID") -> None:
    from pydicom.pixels.decoders.base import get_decoder

    if syntax == DEFLATED:
        raise UnfitError("unsupported compression", f"{syntax.name}: save it with another transfer syntax")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnfitError(
            "unsupported compression", f"{shown(syntax.name) or 'none given'}: no still picture"
        ) from error
    if not decoder.is_available:
        raise UnfitError(
            "unsupported compression", f"{syntax.name}: install one of {'; '.join(decoder.missing_dependencies)}"
        )


def _hush() -> None:
    """Keeps what pydicom has to say of a file's values out of the log, as it quotes them. For all threads, and for good."""
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")


def picture(original: bytes) -> Image.Image:
    """Renders the file's picture in 8 bits, of several frames the middle one.

    Colour stays colour. Grey values go through the file's modality and window tables, or through a window over nearly all
    of them; MONOCHROME1, where low is white, is inverted.

    Raises:
        ValueError: it can't be.
    """
    try:
        return _rendered(read(io.BytesIO(original)))
    except UnfitError:
        raise
    except Exception as error:  # pydicom raises nearly anything on a broken file
        raise ValueError(f"{type(error).__name__}: {shown(str(error))}") from error


def frames(header: "Dataset") -> int:
    """How many pictures the file holds, as its header says."""
    return max(1, int(header.get("NumberOfFrames") or 1))


def shown_frame(count: int) -> int:
    """Which of so many frames is taken, from 0."""
    return (count - 1) // 2


def _rendered(dataset: "Dataset") -> Image.Image:
    from pydicom.pixels.processing import apply_color_lut

    _require_honest(dataset)
    index = shown_frame(frames(dataset))
    pixels, told = _decoded(dataset, index)
    if told["photometric_interpretation"] == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        return Image.fromarray(_high_byte(pixels, 8 * pixels.dtype.itemsize))
    if told["samples_per_pixel"] != 1:
        return Image.fromarray(_high_byte(pixels, int(told["bits_stored"])))
    _lift_functional_groups(dataset, index)
    return Image.fromarray(_grey(pixels, dataset))


def _decoded(dataset: "Dataset", index: int) -> tuple[Any, Any]:
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    try:
        return decoder.as_array(dataset, index=index)
    except RuntimeError as error:  # the plugins that are here gave up: on a broken picture, or one beyond them
        others = "; ".join(decoder.missing_dependencies) or "none"
        told = shown(str(error).rpartition(": ")[2])
        raise UnfitError("not decoded", f"{told}; other plugins that may: {others}") from error


def _require_honest(dataset: "Dataset") -> None:
    """Refuses headers that would have much memory taken, or that the pixels don't bear out."""
    from pydicom.pixels.utils import get_expected_length

    if "PixelData" not in dataset:
        raise UnfitError("no picture", "no pixel data")
    if dataset.Rows * dataset.Columns > MAX_PIXELS:
        raise ValueError(f"{dataset.Columns} x {dataset.Rows} pixels are more than {MAX_PIXELS:,}")
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        expected, there = get_expected_length(dataset), len(dataset.PixelData)
        if not expected <= there <= MAX_EXCESS * expected + 1:
            raise ValueError(f"{there:,} bytes of pixels where the header speaks of {expected:,}")


def _high_byte(pixels: Any, bits: int) -> Any:
    return (pixels >> max(0, bits - 8)).astype(np.uint8)


def _lift_functional_groups(dataset: "Dataset", index: int) -> None:
    """Enhanced objects keep rescale and window per frame, one level down: up with them, where pydicom looks."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = (dataset.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1]
    for group in (*shared, *own):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in (group.get(name) or [])[:1]:
                dataset.update(item)


def _grey(pixels: Any, dataset: "Dataset") -> Any:
    """8-bit greys `(rows, columns)`, looked up in a table of what the file makes of each value that occurs."""
    if pixels.dtype.kind not in "iu" or pixels.dtype.itemsize > 2:
        raise ValueError("values of more than 16 bits are measurements, not greys")
    lowest = int(pixels.min())
    greys = _greys(np.arange(lowest, int(pixels.max()) + 1), _counted(pixels, dataset), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        greys = 255 - greys
    # Modulo 2^16, which also takes negative values to their place in the table.
    return greys[pixels.astype(np.uint16) - np.uint16(lowest % 2**16)]


def _greys(values: Any, counted: Any, dataset: "Dataset") -> Any:
    """The grey of each value: through the file's window, else through one over nearly all that is `counted`."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    rescaled = apply_modality_lut(values, dataset)
    if (ends := _window_ends(dataset)) is not None:
        low, high = apply_voi_lut(ends, dataset)
        rescaled = apply_voi_lut(np.clip(rescaled, *ends), dataset)
    else:
        outer = np.percentile(counted, PERCENTILES, method="nearest")
        low, high = np.sort(apply_modality_lut(outer, dataset))
    if dataset.get("VOILUTSequence"):  # a table may fall as well as rise
        low, high = min(low, high), max(low, high)
    scaled = (rescaled - float(low)) / ((float(high) - float(low)) or 1.0)
    if not np.isfinite(scaled).all():
        raise ValueError("its rescaling leads nowhere")
    return (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)


def _counted(pixels: Any, dataset: "Dataset") -> Any:
    """The values without those that only fill up the rectangle."""
    padding = dataset.get("PixelPaddingValue")
    inner = pixels if padding is None else pixels[pixels != padding]
    return inner if inner.size else pixels


def _window_ends(dataset: "Dataset") -> Any:
    """Two values between which the file's window or table has everything; None where it has neither, or none of use."""
    if tables := dataset.get("VOILUTSequence"):
        entries, first, _ = tables[0].LUTDescriptor
        return np.array([first, first + (entries or 2**16) - 1])
    centre, width = (np.atleast_1d(dataset.get(name) or []) for name in ("WindowCenter", "WindowWidth"))
    return np.array([-np.inf, np.inf]) if centre.size and width.size and float(width[0]) >= 1 else None
