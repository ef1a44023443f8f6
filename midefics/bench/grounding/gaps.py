"""A row's metadata in, the words for a template's gaps out; made apart from the checker, with word lists of its own."""

import re

from midefics.records import Scalar
from midefics.sources.reading import with_article
from midefics.sources.roco import first_sentence, modality, side

Metadata = dict[str, Scalar]

DIAGNOSES = ("melanoma", "nevus", "basal cell carcinoma", "seborrheic keratosis", "dermatofibroma", "actinic keratosis")
PARTS = ("elbow", "finger", "forearm", "hand", "upper arm", "shoulder", "wrist")
SITES = {
    "head/neck": "on the head", "upper extremity": "on the arm", "lower extremity": "on the leg",
    "anterior torso": "on the trunk", "posterior torso": "on the back", "torso": "on the trunk",
    "lateral torso": "on the trunk", "palms/soles": "on the palm or sole",
}  # fmt: skip
MODALITIES = {"X-ray": "an X-ray", "CT": "a CT scan", "MRI": "an MRI scan", "Ultrasound": "an ultrasound image"}
FOUND = (
    "effusion", "fracture", "mass", "cyst", "pneumothorax", "nodule", "stenosis", "aneurysm", "haematoma", "hematoma",
    "tumor", "tumour", "abscess", "thrombus", "calcification", "dislocation", "infarct", "consolidation", "hernia",
)  # fmt: skip


def gaps(source: str, metadata: Metadata, number: int) -> dict[str, str]:
    """What a row can fill in, by the gap's name, beside capitalised forms; `number` varies the things it is not."""
    made = {"isic": _skin, "mura": _bone, "roco": _figure}[source](metadata, number)
    words = {name: word for name, word in made.items() if word}
    return capitalised(words)


def capitalised(words: dict[str, str]) -> dict[str, str]:
    """The words with their capitalised forms beside them: `{Side}` for `{side}`."""
    return words | {name[:1].upper() + name[1:]: word[:1].upper() + word[1:] for name, word in words.items()}


def _skin(metadata: Metadata, number: int) -> dict[str, str]:
    diagnosis, label = str(metadata.get("diagnosis", "")), str(metadata.get("benign_malignant", ""))
    others = [other for other in DIAGNOSES if other != diagnosis]
    other = others[number % len(others)]
    malignant = label == "malignant"
    known = bool(diagnosis) and label in ("benign", "malignant")
    return {
        "diagnosis": diagnosis,
        "a_diagnosis": with_article(diagnosis) if diagnosis else "",
        "other_diagnosis": other,
        "a_other_diagnosis": with_article(other),
        "label": label if known else "",
        label: label if known else "",
        "other_label": ("benign" if malignant else "malignant") if known else "",
        "kind": str(metadata.get("image_type", "")),
        "age": str(metadata.get("age_approx", "")),
        "sex": str(metadata.get("sex", "")),
        "on_site": SITES.get(str(metadata.get("anatom_site_general", "")), ""),
        "yes_malignant": ("Yes, it is malignant." if malignant else "No, it is not malignant.") if known else "",
        "concern": ("Yes, because it is malignant." if malignant else "No, it is harmless.") if known else "",
    }


def _bone(metadata: Metadata, number: int) -> dict[str, str]:
    part, label = str(metadata["body_part"]).replace("humerus", "upper arm"), str(metadata["study_label"])
    others = [other for other in PARTS if other != part]
    normal = label == "normal"
    return {
        "part": part,
        "other_part": others[number % len(others)],
        "label": label,
        label: label,
        "other_label": "abnormal" if normal else "normal",
        "is_normal": "Yes, it is normal." if normal else "No, the study is abnormal.",
        "any_abnormal": "No, nothing abnormal is seen." if normal else "Yes, an abnormality is seen.",
        "reason": "There is nothing that needs a reason." if normal else "It may be a fracture, hardware or arthritis.",
        "could_fracture": "No fracture is seen." if normal else "A fracture is possible, but other reasons are too.",
        "notice": f"A normal {part}." if normal else f"An abnormal {part}.",
        "all_right": "there is no abnormality" if normal else "something is abnormal",
    }


def _figure(metadata: Metadata, number: int) -> dict[str, str]:
    caption = str(metadata.get("caption", ""))
    taken, where = modality(caption), side(caption)
    others = [other for other in MODALITIES if other.lower() not in caption.lower() and other != taken]
    found = next((word for word in FOUND if _is_found(word, caption)), "")
    age = re.search(r"(\d{1,2})[- ]years?[- ]old", caption)
    return {
        "first": first_sentence(caption),
        "modality": (taken if taken in MODALITIES else "") or "",
        "a_modality": MODALITIES.get(taken or "", ""),
        "a_other_modality": MODALITIES[others[number % len(others)]] if others and taken else "",
        "finding": found,
        "a_finding": with_article(found) if found else "",
        "side": where or "",
        "other_side": {"left": "right", "right": "left"}.get(where or "", ""),
        "age": age[1] if age else "",
    }


def _is_found(word: str, caption: str) -> bool:
    """Whether a caption plainly has it: once, and nothing denied, doubted or past in the whole caption."""
    plain = not re.search(
        r"\b(?:no|not|without|free of|no longer|absence|resol\w+|suspect\w*|possible|may|after|removed|previous|exclude\w*)\b",
        caption,
        re.IGNORECASE,
    )
    return plain and bool(re.search(rf"\b{word}\b", caption, re.IGNORECASE))
