"""What a lesion of the skin can be, and what that means: value to pattern, the longer words before the shorter."""

DIAGNOSES = {
    "melanoma in situ": r"melanoma in situ|in situ melanoma|lentigo maligna",
    "invasive melanoma": r"invasive melanoma",
    "melanoma": r"melanoma",
    "dysplastic nevus": r"(?:dysplastic|atypical|clark(?:'s)?) (?:melanocytic )?na?ev(?:us|i)",
    "spitz nevus": r"spitz(?:oid)?(?: na?ev(?:us|i))?",
    "blue nevus": r"blue na?ev(?:us|i)",
    "nevus": r"na?ev(?:us|i)|mole|birthmark|melanocytic lesion",
    "basal cell carcinoma": r"basal[- ]cell carcinoma|basalioma|bcc",
    "squamous cell carcinoma": r"squamous[- ]cell carcinoma|scc|bowen(?:'s|’s)? disease",
    "actinic keratosis": r"(?:actinic|solar) keratos[ei]s",
    "seborrheic keratosis": r"seborrh(?:o)?eic keratos[ei]s",
    "lichenoid keratosis": r"lichenoid keratos[ei]s",
    "benign keratosis": r"benign keratos[ei]s",
    "keratosis": r"keratos[ei]s",
    "lentigo": r"(?:solar )?lentig(?:o|ines)(?: simplex)?",
    "dermatofibroma": r"dermatofibroma",
    "haemangioma": r"(?:a)?ha?emangioma|angioma",
    "vascular lesion": r"vascular lesion|angiokeratoma|pyogenic granuloma",
    "neurofibroma": r"neurofibroma",
    "wart": r"wart|verrucae?",
    "psoriasis": r"psoriasis",
    "eczema": r"eczema|dermatitis",
    "merkel cell carcinoma": r"merkel[- ]cell carcinoma",
}
"""What a lesion of the skin can be."""

IMPLIED = {
    "melanoma in situ": ("melanoma",),
    "invasive melanoma": ("melanoma",),
    "dysplastic nevus": ("nevus",),
    "spitz nevus": ("nevus",),
    "blue nevus": ("nevus",),
    "seborrheic keratosis": ("keratosis", "benign keratosis"),
    "lichenoid keratosis": ("keratosis", "benign keratosis"),
    "benign keratosis": ("keratosis",),
    "actinic keratosis": ("keratosis",),
    "haemangioma": ("vascular lesion",),
}
"""A diagnosis to the less exact ones that are true as well."""

MALIGNANT_DIAGNOSES = frozenset(
    ("melanoma", "basal cell carcinoma", "squamous cell carcinoma", "merkel cell carcinoma")
)
BENIGN_DIAGNOSES = frozenset(
    ("nevus", "seborrheic keratosis", "lichenoid keratosis", "benign keratosis", "lentigo", "dermatofibroma",
     "haemangioma", "neurofibroma", "wart")
)  # fmt: skip

MALIGNANCIES = {
    "benign": r"benign|non[- ]?(?:malignant|cancerous)|harmless",
    "malignant": r"malignan(?:t|cy)|cancer(?:ous)?",
}
