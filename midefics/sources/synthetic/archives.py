"""A folder and a number in, an archive of drawn pictures in one of the three true layouts out."""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from midefics.sources.synthetic import bones, radiology, skin
from midefics.sources.synthetic.canvas import REFERENCE_SIZE, as_picture, grain
from midefics.sources.synthetic.plan import FLAWS, Shot, plan

CREDIT = "drawn by midefics"
JPEG_QUALITY = 92

# What isic-cli writes of each diagnosis: diagnosis_1 to diagnosis_3, and whether it is melanocytic.
_ISIC_TERMS = {
    "melanoma": ("Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma, NOS", "True"),
    "basal cell carcinoma": ("Malignant", "Malignant adnexal proliferations", "Basal cell carcinoma", "False"),
    "nevus": ("Benign", "Benign melanocytic proliferations", "Nevus", "True"),
    "seborrheic keratosis": ("Benign", "Benign epidermal proliferations", "Seborrheic keratosis", "False"),
}
_ISIC_COLUMNS = (
    "isic_id", "attribution", "copyright_license", "age_approx", "anatom_site_1", "diagnosis_1", "diagnosis_2",
    "diagnosis_3", "diagnosis_confirm_type", "image_type", "lesion_id", "melanocytic", "patient_id", "pixels_x",
    "pixels_y", "sex",
)  # fmt: skip
_SITES = ("Head and neck", "Trunk", "Upper extremity", "Lower extremity")


def write_isic(root: Path, cases: int, seed: int) -> None:
    """As `isic image download` leaves it, in today's vocabulary; some patients and lesions are not named."""
    rows: list[Iterable[object]] = [_ISIC_COLUMNS]
    for shot in plan(cases, seed, list(skin.LOOKS)):
        identifier = f"ISIC_{9_000_000 + 7 * shot.number}"
        picture = skin.picture(shot.item, REFERENCE_SIZE, shot.lasting, shot.passing)
        _save(picture, root / f"{identifier}.jpg", shot)
        rows.append(_isic_row(identifier, shot, np.random.default_rng((seed, 3, shot.owner))))
    _write_rows(root / "metadata.csv", rows, end="\r\n")
    _write(root / "attribution.txt", CREDIT)
    _write(root / "licenses" / "CC-0.txt", "https://creativecommons.org/publicdomain/zero/1.0/\n")
    _write(root / ".isic-partial.k2x9", "what a broken download leaves behind")


def _isic_row(identifier: str, shot: Shot[str], patient: np.random.Generator) -> Iterable[object]:
    first, second, third, melanocytic = _ISIC_TERMS[shot.item]
    age, sex, site = 5 * patient.integers(5, 17), patient.choice(["female", "male"]), patient.choice(_SITES)
    patient_id = f"IP_{shot.owner:07}" if shot.owner % 4 else ""
    lesion_id = f"IL_{shot.subject:07}" if shot.owner % 8 else ""
    confirmed = "histopathology" if first == "Malignant" else "single image expert consensus"
    return (
        identifier, CREDIT, "CC-0", age, site, first, second, third, confirmed, "dermoscopic", lesion_id,
        melanocytic, patient_id, REFERENCE_SIZE, REFERENCE_SIZE, sex,
    )  # fmt: skip


def write_mura(root: Path, cases: int, seed: int) -> None:
    """The MURA-v1.1 tree and its four lists; the studies of a patient may be of different body parts."""
    images: dict[str, list[str]] = {"train": [], "valid": []}
    studies: dict[str, dict[str, int]] = {"train": {}, "valid": {}}
    for shot in plan(cases, seed, list(itertools.product(bones.LAYOUTS, (False, True)))):
        part, abnormal = shot.item
        split, patient = ("train", shot.owner) if shot.owner % 10 else ("valid", 11_184 + shot.owner)
        label = "positive" if abnormal else "negative"
        folder = f"MURA-v1.1/{split}/XR_{part.upper()}/patient{patient:05}/study{shot.study}_{label}/"
        studies[split][folder] = int(abnormal)
        images[split].append(f"{folder}image{shot.turn}.png")
        picture = bones.picture(part, abnormal, REFERENCE_SIZE, shot.lasting, shot.passing)
        _save(picture.convert("L"), root / images[split][-1], shot)
    for split in images:
        _write_rows(root / "MURA-v1.1" / f"{split}_image_paths.csv", ((path,) for path in sorted(images[split])))
        _write_rows(root / "MURA-v1.1" / f"{split}_labeled_studies.csv", sorted(studies[split].items()))


def write_roco(root: Path, cases: int, seed: int) -> None:
    """The official layout; as in the true one, its splits cut through articles."""
    lines: dict[str, list[tuple[str, str, str, str]]] = {"train": [], "validation": [], "test": []}
    seen = list(itertools.product(radiology.FINDINGS, ("left", "right")))
    for shot in plan(cases, seed, seen, ("junk caption", *FLAWS)):
        finding, side = shot.item
        identifier, split = f"ROCO_{shot.number + 1:05}", str(shot.passing.choice(list(lines), p=(0.8, 0.1, 0.1)))
        picture = radiology.picture(finding, side, REFERENCE_SIZE, shot.lasting, shot.passing)
        _save(picture, root / "data" / split / "radiology" / "images" / f"{identifier}.jpg", shot)
        caption = finding.captions[shot.subject % len(finding.captions)].format(side=side)
        caption = "XXX." if shot.flaw == "junk caption" else caption
        lines[split].append((identifier, f"PMC{shot.owner:07}", f"drawn-{shot.number + 1}.jpg", caption))
    for split, found in lines.items():
        _write_roco_lists(root / "data" / split / "radiology", found)


def _write_roco_lists(folder: Path, lines: list[tuple[str, str, str, str]]) -> None:
    link = "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/00/{}.tar.gz -P /path/to/Dir"
    captions, links, keywords = "", "", ""
    for identifier, article, name, caption in lines:
        words = sorted(set(re.findall(r"[a-z]{3,}", caption.lower())))
        captions += f"{identifier}\t {caption}\n"
        links += f"{identifier}\t{link.format(article)}\t{name}\n"
        keywords += "\t".join((identifier, "", *words)) + "\n"
    _write(folder / "captions.txt", captions)
    _write(folder / "dlinks.txt", links)
    _write(folder / "keywords.txt", keywords)
    licences = [(identifier, f"{article}_{name}", "CC0") for identifier, article, name, _ in lines]
    _write_rows(folder / "licences.txt", [("ROCO_ID", "PMC_ID", "CC"), *licences])


def _save(picture: Image.Image, path: Path, shot: Shot[Any]) -> None:
    """Writes a picture, or what the shot's flaw makes of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if shot.flaw == "missing":
        return
    if shot.flaw == "blank":
        picture = as_picture(0.05 + grain(shot.passing, REFERENCE_SIZE, 0.004))
    content = io.BytesIO()
    if path.suffix == ".png":
        picture.save(content, "PNG")
    else:
        picture.save(content, "JPEG", quality=JPEG_QUALITY)
    whole = content.getvalue()
    kept = {"empty": 0, "truncated": len(whole) // 2}.get(shot.flaw or "", len(whole))
    path.write_bytes(whole[:kept])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_rows(path: Path, rows: Iterable[Iterable[object]], end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator=end).writerows(rows)


WRITERS: dict[str, Callable[[Path, int, int], None]] = {"isic": write_isic, "mura": write_mura, "roco": write_roco}
