"""Hostile pictures, and archives in every layout round given image files, for tests."""

import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from tests.rows import jpeg, picture

MEGABYTES_10 = zlib.compress(bytes(10 * 2**20))


def refused_pictures() -> dict[str, bytes]:
    """What an archive of JPEG and PNG files must not take in, by name."""
    image, other = (Image.open(io.BytesIO(content)).convert("RGB") for content in (jpeg(), picture(1)))
    whole = jpeg()
    return {
        "bomb": png(30_000, 30_000),
        "text_bomb": png(8, 8, chunk(b"zTXt", b"Comment\0\0" + MEGABYTES_10)),
        "profile_bomb": png(8, 8, chunk(b"iCCP", b"icc\0\0" + MEGABYTES_10)),
        "animated": saved(image, "PNG", save_all=True, append_images=[other]),
        "gif": saved(image, "GIF"),
        "animated_gif": saved(image, "GIF", save_all=True, append_images=[other]),
        "tiff": saved(image, "TIFF"),
        "tiff_of_two": saved(image, "TIFF", save_all=True, append_images=[other]),
        "webp": saved(image, "WEBP"),
        "bmp": saved(image, "BMP"),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "html": b"<html><script>alert(1)</script>404 not found</html>",
        "pdf": b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file",
        "zeros": bytes(5000),
        "empty": b"",
        **{f"cut_at_{tenth}_tenths": whole[: len(whole) * tenth // 10] for tenth in range(1, 10)},
    }


def tricky_pictures() -> dict[str, bytes]:
    """What is a picture all the same, by name."""
    image, other = (Image.open(io.BytesIO(content)).convert("RGB") for content in (jpeg(), picture(1)))
    grey = image.convert("I;16").point(lambda value: value * 256 + 7)
    return {
        "cmyk": saved(image.convert("CMYK"), "JPEG"),
        "sixteen_bit": saved(grey, "PNG"),
        "palette": saved(image.quantize(16), "PNG", transparency=0),
        "phone": saved(image, "JPEG", exif=exif(), comment=b"Jane Doe"),
        "with_preview": saved(image, "MPO", save_all=True, append_images=[other]),
        "also_a_zip": jpeg() + b"PK\3\4Jane Doe",
    }


def exif() -> Image.Exif:
    """An orientation, a name and a place."""
    made = Image.Exif()
    made[0x0112], made[0x013B] = 6, "Jane Doe"
    made.get_ifd(0x8825).update({1: "N", 2: (IFDRational(47), IFDRational(22), IFDRational(1, 3))})
    return made


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, further: bytes = b"") -> bytes:
    """A PNG of this size that ends after its first row."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    row = chunk(b"IDAT", zlib.compress(bytes(width + 1)))
    return b"\x89PNG\r\n\x1a\n" + header + further + row + chunk(b"IEND", b"")


class Layout(NamedTuple):
    """How an archive keeps its images, and its lists of them."""

    source: str
    image: Callable[[str], str]
    """Path of the image of this name."""
    lists: Callable[[Path, Sequence[str]], None]
    """Writes the lists of images of these names."""


def quoted(text: str) -> str:
    """A field of a CSV file."""
    return '"' + text.replace('"', '""') + '"'


def _isic(root: Path, names: Sequence[str]) -> None:
    lines = ["isic_id,attribution,copyright_license,benign_malignant,diagnosis"]
    lines += [f"{quoted(name)},Somebody,CC-0,benign,nevus" for name in names]
    (root / "metadata.csv").write_text("\n".join(lines) + "\n", newline="")


def _mura(root: Path, names: Sequence[str]) -> None:
    top = root / "MURA-v1.1"
    top.mkdir(parents=True, exist_ok=True)
    (top / "train_image_paths.csv").write_text("".join(f"{LAYOUTS['mura'].image(name)}\n" for name in names))
    (top / "train_labeled_studies.csv").write_text("MURA-v1.1/train/XR_HAND/patient00001/study1_positive/,1\n")


def _roco(root: Path, names: Sequence[str]) -> None:
    folder = root / "data" / "train" / "radiology"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "captions.txt").write_text("".join(f"{name}\tChest X-ray of a patient.\n" for name in names))
    (folder / "dlinks.txt").write_text("".join(f"{name}\twget PMC55.tar.gz; rm -rf /\tx.jpg\n" for name in names))
    (folder / "keywords.txt").write_text("".join(f"{name}\t\tchest\n" for name in names))
    (folder / "licences.txt").write_text("ROCO_ID,PMC_ID,CC\n" + "".join(f"{name},PMC55_x,CC BY\n" for name in names))


def _roco_kaggle(root: Path, names: Sequence[str]) -> None:
    folder = root / "all_data" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"ROCO_{number:05d},{quoted(f'{name}.jpg')},Chest X-ray." for number, name in enumerate(names)]
    (folder / "radiologytestdata.csv").write_text("\n".join(["id,name,caption", *rows, ""]), newline="")


def _vqa_rad(root: Path, names: Sequence[str]) -> None:
    (root / "data_RAD").mkdir(parents=True, exist_ok=True)
    records = [{"image_name": f"{name}.jpg", "question": "Is it normal?", "answer": "No"} for name in names]
    (root / "data_RAD" / "trainset.json").write_text(json.dumps(records))


def _hf_dataset(root: Path, names: Sequence[str]) -> None:
    said = {"data": [{"question": "Is it normal?", "answer": "No"}]}
    rows = [
        {"id": f"{number}", "image": {"bytes": None, "path": f"images/{name}.jpg"}, "conversation": said}
        for number, name in enumerate(names)
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "train.parquet")


def _slake(root: Path, names: Sequence[str]) -> None:
    records = [
        {"img_name": f"{name}.jpg", "question": "Is it normal?", "answer": "No", "q_lang": "en"} for name in names
    ]
    (root / "test.json").write_text(json.dumps(records))


def _vqa_med(root: Path, names: Sequence[str]) -> None:
    (root / "Test_Images").mkdir(exist_ok=True)
    (root / "Ref_Answers.txt").write_text("".join(f"{name}|Is it normal?|No\n" for name in names))


LAYOUTS = {
    "isic": Layout("isic", "{}.jpg".format, _isic),
    "mura": Layout("mura", "MURA-v1.1/train/XR_HAND/patient00001/study1_positive/{}.png".format, _mura),
    "roco": Layout("roco", "data/train/radiology/images/{}.jpg".format, _roco),
    "roco-kaggle": Layout("roco", "all_data/test/radiology/images/{}.jpg".format, _roco_kaggle),
    "vqa_rad": Layout("vqa_rad", "data_RAD/images/{}.jpg".format, _vqa_rad),
    "slake": Layout("slake", "imgs/{}.jpg".format, _slake),
    "vqa_med": Layout("vqa_med", "Test_Images/{}.jpg".format, _vqa_med),
    "hf_dataset": Layout("hf_dataset", "images/{}.jpg".format, _hf_dataset),
}


def archive(root: Path, layout: Layout, images: dict[str, bytes]) -> Path:
    """Writes an archive of these images."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in images.items():
        path = root / layout.image(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    layout.lists(root, list(images))
    return root


def traps(outside: Path) -> dict[str, Callable[[Path], None]]:
    """What may lie in the place of a file and is none of the archive's, by name; each is put at a path."""
    return {
        "link_outside": lambda path: path.symlink_to(outside),
        "link_to_a_folder": lambda path: path.symlink_to(outside.parent),
        "link_to_a_device": lambda path: path.symlink_to("/dev/zero"),
        "link_to_nothing": lambda path: path.symlink_to("nowhere"),
        "link_to_itself": lambda path: path.symlink_to(path.name),
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
    }
