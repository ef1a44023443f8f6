"""A row's source and metadata in, questions about medicine that need no image out, with their answers.

The definitions are our own, short, and hedged where a thing is not always so; no word of them is about a patient or an
image. Which term a row is asked about follows from what its metadata name, so that the set speaks of what its images show.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from midefics.records import Scalar, Turn

VERSION = "definitions-1"


class Definition(NamedTuple):
    """One term."""

    asked: str
    """What is asked of: `a melanoma`."""
    text: str
    named: str
    """A pattern of the words that name it in the metadata."""

    def term(self) -> str:
        """Without its article: `melanoma`."""
        return self.asked.removeprefix("a ").removeprefix("an ").removeprefix("the ")

    def questions(self) -> tuple[str, ...]:
        """The ways to ask for it."""
        if self.asked in ADJECTIVES:
            return f"What does {self.asked} mean?", f"What is meant by {self.asked}?"
        return f"What is {self.asked}?", f"Can you explain what {self.asked} is?"


ADJECTIVES = ("benign", "malignant")
DEFINITIONS = tuple(
    Definition(asked, text, named)
    for asked, text, named in (
        ("a melanoma", "A melanoma is a skin cancer of the pigment cells. It can spread.", r"melanomas?"),
        ("a nevus", "A nevus is a mole of pigment cells. It is usually benign.", r"n(?:ae|e)v(?:us|i)"),
        ("a basal cell carcinoma", "A basal cell carcinoma is a common skin cancer. It seldom spreads.", r"basal cell carcinomas?"),
        ("a seborrheic keratosis", "A seborrheic keratosis is a benign, wart-like growth of the skin.", r"seborrh?o?eic keratos[ei]s"),
        ("a squamous cell carcinoma", "A squamous cell carcinoma is a cancer of flat cells, often of the skin. It can spread.", r"squamous cell carcinomas?"),
        ("an actinic keratosis", "An actinic keratosis is a rough patch of skin that the sun has damaged. It may become a cancer.", r"actinic keratos[ei]s"),
        ("a dermatofibroma", "A dermatofibroma is a firm, benign knot in the skin, often on a leg.", r"dermatofibromas?"),
        ("a lentigo", "A lentigo is a flat brown spot of the skin. It is usually benign.", r"lentigo|lentigines"),
        ("a hemangioma", "A hemangioma is a usually benign growth of small blood vessels.", r"ha?emangiomas?|angiomas?"),
        ("benign", "Benign means that a growth is no cancer and does not spread.", r"benign"),
        ("malignant", "Malignant means cancerous: it can grow into what is round it, and spread.", r"malignant"),
        ("dermoscopy", "Dermoscopy is a way to look at the skin through a magnifying lens with its own light.", r"dermoscop\w+"),
        ("histopathology", "Histopathology is a look at a piece of tissue under the microscope.", r"histopatholog\w+"),
        ("the humerus", "The humerus is the bone of the upper arm.", r"humerus"),
        ("the forearm", "The forearm is the part of the arm between elbow and wrist.", r"forearm"),
        ("the wrist", "The wrist is the joint between forearm and hand.", r"wrist"),
        ("the elbow", "The elbow is the joint between upper arm and forearm.", r"elbow"),
        ("the shoulder", "The shoulder is the joint between arm and trunk.", r"shoulder"),
        ("an X-ray", "An X-ray is an image made by rays that pass through the body. Bone looks bright in it.", r"x-?rays?|radiographs?|XR"),
        ("a CT", "A CT is an image of slices through the body, made with X-rays from all sides.", r"CT|computed tomograph\w+"),
        ("an MRI", "An MRI is an image of the inside of the body, made with a strong magnet and radio waves.", r"MRI?|magnetic resonance"),
        ("an ultrasound", "An ultrasound is an image made by sound that the body throws back.", r"ultrasound|ultrasonograph\w+|sonogra\w+"),
        ("an angiography", "An angiography is an image of blood vessels, mostly with a contrast agent in them.", r"angiogra\w+"),
        ("a mammography", "A mammography is an X-ray of the breast.", r"mammogra\w+"),
        ("a PET", "A PET is an image of where the body takes up a weakly radioactive substance.", r"PET"),
        ("a fracture", "A fracture is a broken bone.", r"fractures?"),
        ("a cyst", "A cyst is a closed sac, mostly filled with fluid. It is usually benign.", r"cysts?"),
        ("a pleural effusion", "A pleural effusion is fluid between the lung and the wall of the chest.", r"pleural effusions?"),
        ("a pneumothorax", "A pneumothorax is air between the lung and the wall of the chest.", r"pneumothora\w+"),
        ("pneumonia", "Pneumonia is an inflammation of the lung, mostly from an infection.", r"pneumonias?"),
        ("an aneurysm", "An aneurysm is a part of a blood vessel that has become too wide.", r"aneurysms?"),
        ("a metastasis", "A metastasis is a growth that a cancer has sent to another part of the body.", r"metasta\w+"),
        ("a hernia", "A hernia is a gap through which an organ slips out of its place.", r"hernias?|herniation"),
        ("a stenosis", "A stenosis is a part of a vessel or canal that has become too narrow.", r"stenos[ei]s"),
    )
)  # fmt: skip
_ALWAYS = {"mura": "X-ray"}
"""What every image of a source is, where its metadata need not say so."""
_PATTERNS = {one.asked: re.compile(rf"\b(?:{one.named})\b", re.IGNORECASE) for one in DEFINITIONS}


def definition(source: str, metadata: Mapping[str, Scalar], key: str) -> Definition | None:
    """One of the terms that a row names, the same for the same key, rather an early one of the table: those say more.

    None where it names none.
    """
    words = " ".join([_ALWAYS.get(source, ""), *(value for value in metadata.values() if isinstance(value, str))])
    named = [one for one in DEFINITIONS if _PATTERNS[one.asked].search(words)]
    return named[min(_draw(key, purpose) % len(named) for purpose in ("term", "other term"))] if named else None


def defining(about: Definition, key: str) -> Turn:
    """The question for a term and its answer."""
    asked = about.questions()
    return Turn(question=asked[_draw(key, "asked") % len(asked)], answer=about.text)


def _draw(key: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose} of a definition:{key}".encode()).digest()[:4])
