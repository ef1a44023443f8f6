"""The words that claims are made of: kind of claim to value to pattern. What a text says is for `claims`.

Within a kind the first pattern that fits a place wins, so the longer words stand before the shorter ones.
"""

import re

from midefics.grounding.words.body import SEXES, SIDES, SITES
from midefics.grounding.words.diagnoses import DIAGNOSES, MALIGNANCIES
from midefics.grounding.words.radiology import NORMALITIES, RADIOLOGY_FINDINGS
from midefics.grounding.words.skin import SKIN_FINDINGS
from midefics.grounding.words.techniques import MODALITIES, MODALITY_HINTS

DIAGNOSIS, MALIGNANCY, FINDING, NORMALITY = "diagnosis", "malignancy", "finding", "normality"
MODALITY, SITE, SIDE, SEX, AGE, SIZE = "modality", "site", "side", "sex", "age", "size"


def _together(values: dict[str, str]) -> re.Pattern[str]:
    """One pattern for a whole table; the number of the group that fits tells which value."""
    return re.compile(
        rf"(?<!\w)(?<!non-)(?:{'|'.join(f'({words})' for words in values.values())})(?![\w])", re.IGNORECASE
    )


TABLES = {
    DIAGNOSIS: DIAGNOSES,
    MALIGNANCY: MALIGNANCIES,
    FINDING: SKIN_FINDINGS | RADIOLOGY_FINDINGS,
    NORMALITY: NORMALITIES,
    MODALITY: MODALITIES,
    SITE: SITES,
    SIDE: SIDES,
    SEX: SEXES,
}
VALUES = {kind: tuple(values) for kind, values in TABLES.items()}
PATTERNS = {kind: _together(values) for kind, values in TABLES.items()}
HINTS = {value: re.compile(words, re.IGNORECASE) for value, words in MODALITY_HINTS.items()}
