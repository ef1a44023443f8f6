"""The table of checks: what every row must meet, what the rows of one source must, and what the configuration changes.

Each check looks at one column that `validate` derives from a row, at one of the metadata, or at one of
`likeness.COLUMNS`, which tell a row from all others. Figures in the notes were measured on 90 ISIC and 111 VQA-RAD images.
"""

from collections.abc import Callable, Mapping

from midefics.config import CheckConfig, ValidateConfig
from midefics.errors import ConfigError
from midefics.services.expectations import Check

UNREADABLE = "unreadable image"
COLOURFUL = 10.0
"""Between dermoscopic and clinical photographs (12.7 and more) and radiological images (at most 5.4, 6.7 for a sepia film)."""


def common_checks(limits: ValidateConfig) -> tuple[Check, ...]:
    """What every source's rows must meet; a row is rejected for the first one that it fails."""
    return (
        Check("readable", "BeInSet", {"value_set": ["yes"]}, UNREADABLE,
              "The stored picture must decode to its last pixel."),
        Check("evaluation_twin", "BeNull", {}, "in evaluation set",
              "No image to train on may be the same shot as one to evaluate with (named here), of whatever source: the same "
              f"file, or hashes within {limits.near_bits} bits (validate.near_bits) and thumbnails that correlate to 0.99."),
        Check("duplicate_of", "BeNull", {}, "duplicate image",
              "The archive's file must not be, byte for byte, the file of an earlier row (named here); the first is kept."),
        Check("near_duplicate_of", "BeNull", {}, "near-duplicate image",
              "The same shot as an earlier row (named here) in another size or encoding: kept in one split with it.", "warn"),
        Check("shorter_side", "BeBetween", {"min_value": limits.min_side}, "image too small",
              f"At least {limits.min_side} pixels (validate.min_side), or there is nothing to see."),
        Check("aspect", "BeBetween", {"max_value": limits.max_aspect}, "image too elongated",
              f"The longer side at most {limits.max_aspect:g} times the shorter (validate.max_aspect): "
              "the model sees a square, strips are crushed in it."),
        Check("contrast", "BeBetween", {"min_value": limits.min_contrast}, "blank image",
              f"Standard deviation of the grey values (0 to 255) at least {limits.min_contrast:g} (validate.min_contrast)."),
        Check("entropy", "BeBetween", {"min_value": limits.min_entropy}, "nearly blank image",
              f"At least {limits.min_entropy:g} bits in the distribution of the grey values (validate.min_entropy; real ones "
              "have 3.7 to 7.7): a mark on an empty ground has fewer."),
        Check("filled_below", "BeBetween", {"max_value": 0.05}, "truncated image",
              "Share of the height, from the lower edge, that is the even grey with which a cut-off file is filled: at most 0.05."),
        Check("colour_mode", "BeInSet", {"value_set": ["L", "RGB"]}, "colour mode",
              "The stored picture is 8-bit grey or RGB: other modes change their look on the way to the model."),
        Check("told", "BeBetween", {"min_value": 1}, "nothing told",
              "Metadata fields and turns that the archive brings: without any, no question about the image has an answer."),
        Check("original_mode", "NotBeInSet", {"value_set": ["CMYK", "F", "I", "I;16", "I;16B", "LA", "LAB", "PA", "RGBA"]},
              "converted colour mode",
              "The archive's file is grey, RGB or has a palette: 16 bits were stretched to 8, transparency and CMYK lost, "
              "and may not look as they did.", "warn"),
        Check("file_type", "BeInSet", {"value_set": ["as named"]}, "wrong extension",
              "The file's bytes are of the type that its name claims; elsewhere somebody renamed it, or a page was saved.", "warn"),
        Check("text_line", "BeBetween", {"max_value": limits.max_letters}, "text in the image",
              f"At most {limits.max_letters} letter-like strokes in a row (validate.max_letters). More are writing or a ruler, and "
              "writing may be a name: look before you publish. Of lines written on real pictures three in five are found at 336 "
              "pixels, hardly any at 160; of 201 cut-outs without writing none is suspected.", "warn"),
        Check("licence", "NotBeInSet", {"value_set": ["", "not stated"]}, "licence not stated",
              "A licence is named: else look who may use the picture before you publish what is trained on it.", "warn"),
        Check("personal_data", "BeBetween", {"max_value": 0}, "personal data",
              "Names, dates, numbers and addresses of people in its texts; where validate.personal_data is `mask`, they are masked.",
              "quarantine" if limits.personal_data == "quarantine" else "warn"),
    )  # fmt: skip


_GREY = Check("colourfulness", "BeBetween", {"max_value": COLOURFUL}, "colourful radiology",
              f"Colourfulness at most {COLOURFUL:g} (0 is grey, 45 quite colourful): radiology is grey, and a photograph among it "
              "got there by mistake. Doppler and fused PET images are coloured.", "warn")  # fmt: skip

SOURCE_CHECKS: Mapping[str, tuple[Check, ...]] = {
    "isic": (
        Check("benign_malignant", "MatchRegex", {"regex": r"^(?:benign|malignant|indeterminate.*)$"}, "unknown label",
              "Benign, malignant or indeterminate: another word means a new vocabulary that sources/isic.py does not translate."),
        Check("age_approx", "BeBetween", {"min_value": 0, "max_value": 120}, "implausible age",
              "0 to 120 years."),
        Check("colourfulness", "BeBetween", {"min_value": COLOURFUL}, "colourless photograph",
              f"Colourfulness at least {COLOURFUL:g} (0 is grey, 45 quite colourful): photographs of skin have 12.7 and more, a grey "
              "picture is an X-ray in the wrong folder, or confocal microscopy.", "warn"),
        Check("sex", "BeInSet", {"value_set": ["female", "male"]}, "unknown sex",
              "Female or male, the archive's two words.", "warn"),
        Check("image_type", "MatchRegex", {"regex": r"^(?:dermoscopic|clinical|TBP tile.*|RCM.*)$"}, "unknown image type",
              "Dermoscopic, clinical, a tile of a total body photograph (TBP) or confocal microscopy (RCM): "
              "others come with new collections.", "warn"),
        Check("mel_thick_mm", "BeBetween", {"min_value": 0, "max_value": 50}, "implausible thickness",
              "Breslow thickness, 0 to 50 millimetres."),
        Check("clin_size_long_diam_mm", "BeBetween", {"min_value": 0, "max_value": 500}, "implausible size",
              "The lesion's longest diameter, 0 to 500 millimetres."),
    ),
    "mura": (
        Check("body_part", "BeInSet",
              {"value_set": ["elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist"]},
              "unknown body part", "Elbow, finger, forearm, hand, humerus, shoulder or wrist: MURA has studies of these seven."),
        Check("study_label", "BeInSet", {"value_set": ["normal", "abnormal"]}, "unknown label",
              "Normal or abnormal, the radiologist's word on the whole study."),
        _GREY,
    ),
    "roco": (
        Check("caption_words", "BeBetween", {"min_value": 3}, "caption too short",
              "At least three words: fewer (“Case 2.”) say nothing of the image."),
        Check("caption_words", "BeBetween", {"max_value": 400}, "long caption",
              "At most 400 words: longer captions mostly describe several panels.", "warn"),
        Check("radiology", "BeInSet", {"value_set": [True]}, "not radiology",
              "A radiological image: figures of other kinds are photographs and diagrams.", "warn"),
        _GREY,
    ),
    "vqa_rad": (
        Check("questions", "BeBetween", {"min_value": 1}, "no questions",
              "At least one: the archive's own questions are what models are evaluated with."),
        Check("image_organ", "BeInSet", {"value_set": ["abdomen", "chest", "head"]}, "unknown organ",
              "Abdomen, chest or head: VQA-RAD has images of these three regions.", "warn"),
        _GREY,
    ),
    "hf_dataset": (
        Check("questions", "BeBetween", {"min_value": 1}, "no questions",
              "At least one: the archive brings its own conversations."),
    ),
    "dicom": (
        Check("patient_age", "BeBetween", {"min_value": 0, "max_value": 120}, "implausible age",
              "0 to 120 years."),
        Check("burned_in_annotation", "NotBeInSet", {"value_set": [True]}, "burned-in annotation",
              "The file says that its picture has writing in it, and writing may be a name: look before you publish.", "warn"),
    ),
}  # fmt: skip
"""Over the metadata's names as `sources/` yields them; a check applies where a row of the source has the column."""


def suites(limits: ValidateConfig) -> Callable[[str], tuple[Check, ...]]:
    """A source's checks in their order by its name, with what the configuration says of them.

    Raises:
        ConfigError: `validate.checks` names a check that is not in the table.
    """
    common = common_checks(limits)
    known = {check.reason for checks in (common, *SOURCE_CHECKS.values()) for check in checks}
    changes = {_reason(name, known): change for name, change in limits.checks.items()}

    def of(source: str) -> tuple[Check, ...]:
        return tuple(_changed(check, changes.get(check.reason)) for check in common + SOURCE_CHECKS.get(source, ()))

    return of


def _reason(name: str, known: set[str]) -> str:
    """A check's reason however its words are joined: `blank_image` is easier to type behind `--set`."""
    spoken = {reason.replace("-", " "): reason for reason in known}
    plain = name.replace("_", " ").replace("-", " ")
    if plain not in spoken:
        raise ConfigError(f"validate.checks.{name}: no such check; there are {', '.join(sorted(known))}")
    return spoken[plain]


def _changed(check: Check, change: CheckConfig | None) -> Check:
    if change is None:
        return check
    action = change.action or check.action
    share = 0.0 if action == "fail" and change.max_share is None else change.max_share
    return check._replace(action=action, max_share=share)
