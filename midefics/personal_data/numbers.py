"""Numbers that stand for one person: of records, cases, patients, social security; and ages above 89."""

import re

from midefics.personal_data.spans import pattern_rule

RECORDS, MASK = "record numbers", "[number]"
AGES = "ages over 89"

_UNIT = r"""(?!\s*[-–]?\s*(?:years?|yrs?\b|y/o|yo\b|y\.\s?o|y\b|months?|mo\b|weeks?|wks?\b|days?|hours?|hrs?\b|h\b|min|sec|s\b
    |mm|cm|ml|mg|kg|µm|g\b|ms\b|mA|kV|HU|Gy|MBq|mCi|mT|T\b|Hz|MHz|IU|Fr\b|%|°|[x×]\s*\d|times|ans?\b|mois|jours|Jahre|semaines))"""
_NOT_MORE = r"(?![\w]|[.,]\d|/\d)"
_WHAT = r"""(?:medical|hospital|health|patient|clinic(?:al)?|chart|file|study|exam(?:ination)?|accession|case|subject|participant|volunteer|pt
    |specimen|serial|admission|insurance|policy|passport|licen[cs]e|NHS|histology|biopsy|pathology|encounter|visit|account|order|lab(?:oratory)?
    |identification|registration|reference|dossier|cas|caso|paciente|proband)"""
_NUMBER = r"(?:no\b\.?|nr\b\.?|num(?:ber)?s?\b\.?|n[°ºo]\.?|№|\#|id\b|identifier\b|código|numéro)"

_SECURITY = pattern_rule(
    "social security numbers",
    "[number]",
    r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])",
)
_SAID_TO_BE = pattern_rule(
    RECORDS,
    MASK,
    rf"""\b(?:
        (?:MRN|M\.R\.N\.|U?HID|NHS)(?:\s?{_NUMBER})?
        | {_WHAT}\.?\s?(?:record\s?|file\s?|security\s?)?{_NUMBER}
        | (?:record|(?-i:ID)|(?-i:S/N)|SSN)\b\s?{_NUMBER}?
    )[\s:=]{{0,2}}(?P<it>(?=[A-Z._-]{{0,6}}\d)[A-Z\d](?:[\w/_-]*\w)?(?:\s\d{{2,}})*){_NOT_MORE}{_UNIT}""",
    re.IGNORECASE,
    needs=r"\d",
)
_COUNTED = pattern_rule(
    RECORDS,
    MASK,
    rf"""(?<!\beach\s)(?<!\bper\s)(?<!\bevery\s)
    \b(?:case|patient|subject|participant|volunteer|proband|pt|cas|caso|paciente)\b\.?\s?[\#–—-]?\s?
    (?P<it>(?-i:[A-Z]{{1,4}})(?:-\d{{2,}}|0\d+|\d{{3,}})|\d{{1,6}}[a-c]?\b){_NOT_MORE}{_UNIT}""",
    re.IGNORECASE,
    needs=r"\d",
)
_SEVERAL = pattern_rule(
    RECORDS,
    MASK,
    rf"""\b(?:cases|patients|subjects|participants|volunteers)\s(?:nos?\.?\s)?
    (?P<it>\d{{1,3}}(?:(?:\s?[,–-]\s?|\s(?:and|to|&)\s|,\sand\s)\d{{1,3}})+){_NOT_MORE}{_UNIT}""",
    re.IGNORECASE,
)
_LONG = pattern_rule(
    RECORDS,
    MASK,
    rf"(?<![\w.,]) (?: (?:[A-Z]{{1,5}}[-_]?\d{{5,}} | \d{{7,}}) {_NOT_MORE}{_UNIT} | \d+(?:\.\d+){{6,}} )",
)

_OVER_89 = r"(?P<it>9\d|1[0-3]\d)"
_OLD = pattern_rule(
    AGES,
    "over 89",
    rf"""(?<![\w.,/–-]){_OVER_89}(?=\s?[-–]?\s?(?:years?|yrs?|y)\.?\s?[-–]?\s?(?:old|of\sage|o\b)|\s?y[./]?\s?o\b|\s?yo\b|\s(?:ans|Jahre\salt|años|anni|anos)\b)""",
    re.IGNORECASE,
)
_AGED = pattern_rule(
    AGES,
    "over 89",
    rf"\b(?:aged|age(?:\s(?:of|was|is)|:|\s?=)?|âgée?\sde)\s{_OVER_89}(?![\w%]|[.,]\d)(?!\s?(?:months?|weeks?|days?|hours?|%))",
    re.IGNORECASE,
)

MARKED = (_SECURITY, _SAID_TO_BE)
RULES = (_COUNTED, _SEVERAL, _LONG, _OLD, _AGED)
