"""An answer as it was laid out in, the same as sentences out: lists, labels and stars taken away.

`- **Sex:** male` says `The sex is male`, and `Also seen: a cyst` that there is one.
"""

import re

_ITEM = re.compile(r"\s*\n\s*(?:(?:[-–•*+]|\(?\d{1,2}[.)])\s+)?")
_HEADING = re.compile(r"\*\*([^*\n]{1,30}):\*\*|\*\*([^*\n]{1,30})\*\*:")
_FIRST = re.compile(r"^\s*(?:[-–•*+]|\(?\d{1,2}[.)])\s+")
_STARS = re.compile(r"\*\*|__|`")
_NUMBERED = re.compile(r"(?<=[\s,;:])\(?\d{1,2}\)\s+")
_LABEL = re.compile(
    r"(?P<before>^|[.;!?)]\s+)(?P<label>sex|gender|age|side|laterality|site|location|body part|part|region|technique|modality|behaviou?r|"
    r"reading|impression|diagnosis|category|finding|image|subject|size|diameter|verdict|label|result|conclusion|nature|assessment)\s*[:=–]\s+(?=\S)",
    re.IGNORECASE,
)
_SEEN = re.compile(
    r"(?P<before>^|[.;!?)]\s+)(?:also |else |further |otherwise )?(?:seen|visible|noted|found|present|findings)\s*[:=–]\s+(?=\S)",
    re.IGNORECASE,
)


def as_sentences(text: str) -> str:
    """The text with every item of a list as a clause, and every label as the subject of its sentence."""
    if not _STARS.search(text) and ":" not in text and "\n" not in text and "–" not in text and "=" not in text:
        return text
    plain = _HEADING.sub(lambda found: f". {found[1] or found[2]}:", text)
    plain = _ITEM.sub("; ", _FIRST.sub("", _STARS.sub("", plain)))
    plain = _SEEN.sub(r"\g<before>There is ", _NUMBERED.sub("", plain))
    return _LABEL.sub(_told, plain)


def _told(found: re.Match[str]) -> str:
    label = found["label"].lower()
    return f"{found['before']}The {label} is {'the ' if label in ('side', 'laterality') else ''}"
