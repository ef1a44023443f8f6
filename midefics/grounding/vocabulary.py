"""The words that claims are made of: kind of claim to value to pattern. Tables only; what a text says is for `claims`.

Within a kind the first pattern that fits a place wins, so the longer words stand before the shorter ones. Patterns hold no
groups that capture.
"""

import re

DIAGNOSIS, MALIGNANCY, FINDING, NORMALITY = "diagnosis", "malignancy", "finding", "normality"
MODALITY, SITE, SIDE, SEX, AGE, SIZE = "modality", "site", "side", "sex", "age", "size"

DIAGNOSES = {
    "melanoma in situ": r"melanoma in situ|in situ melanoma|lentigo maligna",
    "invasive melanoma": r"invasive melanoma",
    "melanoma": r"melanoma",
    "dysplastic nevus": r"(?:dysplastic|atypical|clark(?:'s)?) (?:melanocytic )?n(?:a)?ev(?:us|i)",
    "spitz nevus": r"spitz(?:oid)?(?: n(?:a)?evus)?",
    "blue nevus": r"blue n(?:a)?evus",
    "nevus": r"n(?:a)?evus|mole",
    "basal cell carcinoma": r"basal[- ]cell carcinoma|basalioma|BCC",
    "squamous cell carcinoma": r"squamous[- ]cell carcinoma|SCC|bowen(?:'s|’s)? disease",
    "actinic keratosis": r"(?:actinic|solar) keratosis",
    "seborrheic keratosis": r"seborrh(?:o)?eic keratosis",
    "lichenoid keratosis": r"lichenoid keratosis",
    "benign keratosis": r"benign keratosis",
    "keratosis": r"keratosis",
    "lentigo": r"(?:solar )?lentigo(?: simplex)?",
    "dermatofibroma": r"dermatofibroma",
    "haemangioma": r"(?:a)?ha?emangioma|angioma",
    "vascular lesion": r"vascular lesion|angiokeratoma|pyogenic granuloma",
    "neurofibroma": r"neurofibroma",
    "wart": r"wart|verruca",
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

FINDINGS = {
    "fracture": r"fractur(?:e|es|ed)|broken bones?|bone is broken|break in the bone",
    "dislocation": r"(?:sub)?lu?xat(?:ion|ed)|dislocat(?:ion|ed)",
    "hardware": r"hardware|(?:metal|cerclage|kirschner) ?wires?|metal(?:lic)? (?:parts|material)|implants?|screws?|(?:metal|fixation) plates?|prosthe(?:sis|tic)|intramedullary nail",
    "degenerative disease": r"degenerative (?:disease|changes?)|osteoarthritis|arthritis|arthrosis",
    "osteoporosis": r"osteoporo(?:sis|tic)|osteopenia|bone loss",
    "effusion": r"effusions?",
    "pneumothorax": r"(?:hydro)?pneumothora(?:x|ces)",
    "pneumonia": r"pneumonia|consolidations?",
    "haematoma": r"ha?ematomas?|ha?emorrhag(?:e|es|ic)",
    "infarct": r"infarct(?:s|ion|ions)?|ischa?emic stroke",
    "aneurysm": r"(?:pseudo)?aneurysm(?:s|al)?",
    "stenosis": r"stenos(?:is|es|ed)|stricture",
    "thrombosis": r"thromb(?:us|i|osis|osed)|embol(?:us|i|ism)",
    "metastasis": r"metasta(?:sis|ses|tic)",
    "abscess": r"abscess(?:es)?",
    "calcification": r"calcif(?:ication|ications|ied)",
    "oedema": r"o?edema(?:tous)?",
    "mass": r"mass(?:es)?|tumou?rs?|neoplasms?|neoformation",
    "nodule": r"nodul(?:es?|ar)",
    "cyst": r"cysts?|cystic",
    "lytic lesion": r"(?:osteo)?lytic (?:lesions?|foc(?:us|i)|area)",
    "fistula": r"fistulas?|fistulae",
    "hernia": r"hernia(?:s|tion|ted)?",
    "stone": r"(?:gall|kidney |renal |ureteral )stones?|calcul(?:us|i)\b",
    "ascites": r"ascites|(?:pleural|peritoneal|pericardial|joint) fluid",
    "atelectasis": r"atelecta(?:sis|tic)",
    "emphysema": r"(?:em)physema(?:tous)?",
    "cardiomegaly": r"cardiomegaly|enlarged heart",
    "perforation": r"perforat(?:ion|ed)",
    "obstruction": r"obstruct(?:ion|ed|ing)",
    "lymphadenopathy": r"lymphadenopathy|enlarged lymph nodes?",
    "foreign body": r"foreign bod(?:y|ies)",
    "fibrosis": r"fibrosis",
    "cirrhosis": r"cirrho(?:sis|tic)",
    "hydronephrosis": r"hydronephro(?:sis|tic)",
    "carcinoma": r"carcinomas?",
    "lymphoma": r"lymphoma",
    "sarcoma": r"(?:osteo)?sarcoma",
    "scoliosis": r"scolio(?:sis|tic)",
    "rupture": r"ruptur(?:e|ed)",
    "haemangioma": r"ha?emangiomas?",
    "splenomegaly": r"splenomegaly",
    "hepatomegaly": r"hepatomegaly",
    "appendicitis": r"appendicitis",
    "pancreatitis": r"pancreatitis",
    "tuberculosis": r"tubercul(?:osis|ous)",
    "ulceration": r"ulcerat(?:ion|ed)|ulcers?",
    "pigment network": r"pigment network|irregular pigmentation",
    "blue-white veil": r"(?:blue[- ]|blue-?)?whit(?:e|ish) veil",
    "irregular border": r"irregular (?:borders?|edges?|margins?|outlines?)|asymmetr(?:y|ic|ical)",
    "satellite lesions": r"satellite (?:lesions?|nodules?)",
    "bleeding": r"bleeding|bleeds",
    "family history": r"family history",
    "swelling": r"swelling|swollen",
    "telangiectasia": r"telangiectasi\w+|arborizing vessels",
    "scales": r"scales|scal(?:ing|y)",
    "dots": r"(?:black |brown |blue |atypical )?(?:dots|globules|streaks|pseudopods)",
    "bone spur": r"(?:bone|bony) spurs?|osteophytes?",
    "regression": r"scar(?:s|ring)?|regression (?:structures?|areas?)|scar-like (?:areas?|depigmentation)",
    "crust": r"crust(?:s|ed|ing)?|erosions?|eroded",
    "milia": r"milia|horn cysts|comedo\w*|leaf-like areas|ovoid nests|rosettes|(?<!blood )vessels",
    "several colours": r"(?:several|multiple|many|different|two|three|four|five|various) colou?rs|multi-?colou?red|variegat\w+",
    "joint space narrowing": r"joint[- ]space narrowing|narrow(?:ed|ing of the) joint space",
    "ground-glass opacity": r"ground[- ]glass (?:opacit(?:y|ies)|changes?|attenuation)",
    "opacity": r"opacit(?:y|ies)|opacification|infiltrates?|shadowing",
    "thickening": r"thickening|thickened",
    "dilatation": r"dilat(?:ed|ation|ion)|distended|distension|ectasia",
    "erosion of bone": r"bone erosions?|bony destruction|bone destruction",
    "sclerosis": r"scleros(?:is|ed)|sclerotic",
    "callus": r"callus|malunion|non-?union|avulsion|displacement|angulation|displaced",
    "cavity": r"cavit(?:y|ies|ation)",
    "bronchiectasis": r"bronchiectas(?:is|es)",
    "polyp": r"polyps?",
    "diverticulum": r"diverticul\w+",
    "adenoma": r"adenomas?",
    "lipoma": r"lipomas?",
    "meningioma": r"meningiomas?|glioma|glioblastoma|schwannoma",
    "hydrocephalus": r"enlarged ventricles|hydrocephalus|ventriculomegaly",
    "atrophy": r"atroph(?:y|ic)",
    "demyelination": r"demyelinat\w+|white matter lesions?",
    "herniated disc": r"(?:disc|disk) (?:bulge|protrusion|extrusion|prolapse)|spondylolisthesis|spondylosis",
    "dissection": r"dissection",
    "pseudocyst": r"pseudocysts?",
    "free air": r"free (?:air|fluid|gas)|pneumoperitoneum|pneumomediastinum",
    "varices": r"varic(?:es|osis)|varix",
    "catheter": r"catheters?|stents?|pacemakers?|endotracheal tube|chest tube",
    "tear": r"cartilage (?:damage|defects?|loss)|(?:ligament|tendon|meniscal|labral|rotator cuff) tears?|torn (?:ligament|tendon|meniscus)",
    "bruise": r"(?:bone )?(?:bruise|contusion)|bone marrow o?edema",
    "necrosis": r"necro(?:sis|tic)",
    "caries": r"caries|impacted (?:tooth|teeth)|periapical (?:lesion|radiolucency)",
    "hyperkeratosis": r"hyperkerato(?:sis|tic)|horny",
    "erythema": r"erythema(?:tous)?|redness",
    "ragged border": r"(?:ragged|notched|blurred|fuzzy|ill-defined|poorly defined|uneven) (?:borders?|edges?|margins?)",
    "white structures": r"(?:shiny |white )+(?:areas?|structures?|streaks?|lines?)|rosette pattern",
    "blue areas": r"blue[- ]?gr[ae]y (?:areas?|ovoid nests|structures?)",
    "congestion": r"(?:pulmonary |vascular )?congestion",
    "compression": r"(?:vertebral|cord|nerve) compression",
    "bone lesion": r"lesions? (?:in|of) the bone|bone lesions?",
    "induration": r"indurat(?:ion|ed)",
    "hair loss": r"hair loss|alopecia",
    "papule": r"papules?|pustules?|blisters?|bullae|vesicles?",
    "collapsed lung": r"collapsed lung|lung collapse",
    "gas": r"(?:gas|air) (?:in|within) the|pneumatosis",
    "lymph nodes": r"lymph node enlargement|(?:swollen|enlarged|pathological) (?:lymph )?nodes?",
    "subdural collection": r"(?:sub|epi|extra)dural (?:collection|fluid|empyema)",
    "loosening": r"loosen(?:ing|ed)|periprosthetic",
    "osteolysis": r"osteolysis|periosteal (?:reaction|elevation)|cortical (?:break|disruption|thinning)",
    "deformity": r"deform(?:ity|ed)|bowing",
    "midline shift": r"(?:midline|mediastinal) shift",
    "infection": r"infect(?:ion|ed)|osteomyelitis",
}

NORMALITIES = {
    "abnormal": r"abnormal(?:ity|ities)?",
    "normal": r"normal(?! (?:saline|activit|range|life|tissue))|unremarkable|healthy",
}

MODALITIES = {
    "dermoscopy": r"dermosc?op(?:y|ic)|dermatosc?op(?:e|ic|y)",
    "mammography": r"mammogra(?:m|ms|phy|phic)|tomosynthesis",
    "angiography": r"angiogra\w+|arteriogra\w+|venogra\w+|phlebogra\w+|(?:CT|MR)A",
    "fluoroscopy": r"fluorosc?op(?:y|ic)",
    "OCT": r"optical coherence tomogra\w+|(?-i:OCT)",
    "PET": r"(?-i:PET)|positron emission tomogra\w+",
    "nuclear medicine": r"scintigra\w+|nuclear medicine|bone scan|SPECT",
    "CT": r"(?:HR|CE|CB|MD)?CT|comput(?:ed|eri[sz]ed) (?:axial )?tomogra\w+|(?-i:CAT) scan",
    "MRI": r"(?-i:f?MRIs?)|(?-i:MR)|magnetic resonance",
    "ultrasound": r"ultraso(?:und|nic|nogra\w+|nogram)s?|(?:echo|sono)(?:cardio)?gra(?:m|ms|phy|phic)|doppler",
    "X-ray": r"x[- ]?rays?|radiogra(?:ph|phs|phy|phic|m|ms)|cxr|orthopantomogra\w+|opg",
    "fundus photography": r"fundus (?:photo\w*|image)|fundosc?opy",
    "endoscopy": r"(?:endo|colono|gastro|broncho)scop(?:y|ic)|endoscopic",
    "microscopy": r"microscop(?:y|ic)|histolog(?:y|ical) (?:slide|image|section)",
    "photograph": r"(?:clinical|ordinary) (?:photo(?:graph)?|picture|image)|photograph",
}
MODALITY_HINTS = {
    "MRI": r"\b(?:T[12][- ]?weighted|T[12]W?I?|FLAIR|STIR|gadolinium|(?:hyper|hypo|iso)-?intens\w+|DWI|MRCP|spin echo)\b",
    "CT": r"\b(?:hounsfield|(?:hyper|hypo)-?dens\w+|tomogra\w+|(?-i:TDM)|scanner|(?-i:\w*CT\w*|CAT))\b",
    "ultrasound": r"\b(?:\w*echo\w*|\w*sono\w*|(?-i:TEE|TTE)|(?:hyper|hypo|an)-?echoic)\b",
    "X-ray": r"\b(?:radio-?lucen\w+|radio-?opa\w+|\w*radiogra\w+|xray|panoramic|IOPA|roentgen\w*|(?-i:RX|Rx)|(?-i:AP) view|lateral view|bitewing|periapical|cephalogra\w+|pyelogra\w+|barium|postero-?anterior|antero-?posterior|(?-i:DR))\b",
    "angiography": r"\b(?:\w*angio\w*|DSA|\w+graphy)\b",
    "nuclear medicine": r"\b(?:\w*scintig\w*|99m?tc\w*|uptake|tracer)\b",
    "PET": r"\b(?:(?-i:PET)\w*|FDG|fludeoxyglucose|positron)\b",
    "endoscopy": r"\bendoscop\w*\b",
    "fluoroscopy": r"\b(?:fluorosc?op\w*|swallow|enema|barium|cholangiogra\w+|pyelogra\w+|contrast inject\w+)\b",
}
"""Words of a caption that allow a modality without naming it: they support claims and make none."""

SITES = {
    "upper arm": r"upper arm|humer(?:us|al)(?! head)",
    "forearm": r"forearm|radius and ulna",
    "upper limb": r"upper (?:limb|extremity)|arm",
    "lower limb": r"lower (?:limb|extremity)|leg",
    "elbow": r"elbow",
    "finger": r"finger|thumb",
    "wrist": r"wrist|carpal",
    "hand": r"(?<!other )hand(?! side|-held)",
    "shoulder": r"shoulder",
    "knee": r"knee|patella",
    "hip": r"(?:hip|femoral head)s?",
    "thigh": r"thigh|femur|femoral",
    "shin": r"shin|calf|tibia|fibula|tibial",
    "ankle": r"ankle",
    "foot": r"foot|feet|sole|toe|heel",
    "face": r"(?<!to )face|facial|cheek|nose|forehead|scalp",
    "brain": r"brain|cerebr\w+|cerebell\w+|intracranial|hemispher\w+|frontal lobe|temporal lobe|ventricular cavit\w+",
    "skull": r"skull|crani(?:um|al)|orbit(?:al)?",
    "jaw": r"jaw|mandib\w+|maxill\w+|teeth|tooth|molar|dental|incisor\w*",
    "neck": r"(?<!femoral )neck(?! of the femur)|cervical|thyroid|larynx",
    "head": r"head(?! of)(?<!humeral head)(?<!femoral head)",
    "lung": r"lungs?|pulmonary|pleura(?:l)?|bronch\w+",
    "heart": r"heart|cardiac|ventric(?:le|ular)|atri(?:um|al)|coronary|aort(?:a|ic)",
    "breast": r"breast",
    "chest": r"chest|thorax|thoracic|mediastin\w+",
    "liver": r"liver|hepatic",
    "kidney": r"kidneys?|renal|perirenal",
    "spleen": r"spleen|splenic",
    "pancreas": r"pancrea(?:s|tic)",
    "bowel": r"bowel|intestin\w+|colon(?:ic)?|stomach|gastric|duoden\w+|c(?:a)?ecum|append\w+|rect(?:um|al)",
    "bladder": r"bladder",
    "uterus": r"uter(?:us|ine)|ovar(?:y|ian)|endometri\w+",
    "prostate": r"prostat\w+",
    "pelvis": r"pelvis|pelvic|sacr(?:um|al)",
    "abdomen": r"abdom(?:en|inal)|belly",
    "spine": r"spine|spinal|vertebra\w*|lumbar|lumbosacral",
    "back": r"(?<=the )back|(?<=his )back|(?<=her )back",
    "torso": r"torso|trunk",
    "palms or soles": r"palms?",
    "eye": r"eyes?|ocular|retina\w*",
}
REGIONS = {
    "head": ("brain", "skull", "jaw", "face", "eye"),
    "chest": ("lung", "heart", "breast"),
    "abdomen": ("liver", "kidney", "spleen", "pancreas", "bowel", "bladder"),
    "pelvis": ("bladder", "uterus", "prostate", "hip"),
    "upper limb": ("upper arm", "forearm", "elbow", "finger", "wrist", "hand", "shoulder"),
    "lower limb": ("knee", "hip", "thigh", "shin", "ankle", "foot"),
    "torso": ("chest", "abdomen", "back"),
    "hand": ("finger",),
    "skull": ("brain",),
    "brain": ("skull", "head"),
    "shin": ("lower limb",),
    "lung": ("chest",),
}
"""A region to the sites of which it may be said as well."""

SKIN_SITES = {
    "head/neck": ("head", "neck"), "head and neck": ("head", "neck"), "upper extremity": ("upper limb",),
    "lower extremity": ("lower limb",), "anterior torso": ("torso",), "posterior torso": ("torso", "back"),
    "lateral torso": ("torso",), "palms/soles": ("palms or soles", "hand", "foot"),
}  # fmt: skip
"""ISIC's regions to sites."""

SIDES = {
    "both": r"bilateral(?:ly)?|both sides",
    "left": r"left(?:[- ]sided)?(?! (?:untreated|alone|unattended|behind|as it|in place|over))(?<!is left)(?<!be left)",
    "right": r"right(?:[- ]sided)?(?! (?:away|now|answer|to |choice|thing|time|treatment|diagnosis))",
}

SEXES = {
    "female": r"female|woman|girl|lady|she|her|hers",
    "male": r"male|man|boy|gentleman|he|him|his",
}

DICOM_MODALITIES = {
    "CR": "X-ray", "DX": "X-ray", "RG": "X-ray", "PX": "X-ray", "IO": "X-ray", "MG": "mammography", "CT": "CT",
    "MR": "MRI", "US": "ultrasound", "IVUS": "ultrasound", "PT": "PET", "NM": "nuclear medicine",
    "XA": "angiography", "RF": "fluoroscopy", "OP": "fundus photography", "OPT": "OCT", "ES": "endoscopy",
    "XC": "photograph", "GM": "microscopy", "SM": "microscopy",
}  # fmt: skip
DICOM_PARTS = {
    "cspine": ("spine", "neck"), "tspine": ("spine", "chest"), "lspine": ("spine", "back"), "abdomen": ("abdomen",),
    "humerus": ("upper arm",),
}  # fmt: skip


def _together(values: dict[str, str]) -> re.Pattern[str]:
    """One pattern for a whole table; the number of the group that fits tells which value."""
    return re.compile(
        rf"(?<!\w)(?<!non-)(?:{'|'.join(f'({words})' for words in values.values())})(?![\w])", re.IGNORECASE
    )


TABLES = {
    DIAGNOSIS: DIAGNOSES,
    MALIGNANCY: MALIGNANCIES,
    FINDING: FINDINGS,
    NORMALITY: NORMALITIES,
    MODALITY: MODALITIES,
    SITE: SITES,
    SIDE: SIDES,
    SEX: SEXES,
}
VALUES = {kind: tuple(values) for kind, values in TABLES.items()}
PATTERNS = {kind: _together(values) for kind, values in TABLES.items()}
HINTS = {value: re.compile(words, re.IGNORECASE) for value, words in MODALITY_HINTS.items()}
