"""Parts and sides of the body, and the sexes: value to pattern, and archives' own terms to values."""

SITES = {
    "upper arm": r"upper arm|humer(?:us|al)(?! head)",
    "forearm": r"forearm|radius and ulna",
    "upper limb": r"upper (?:limb|extremity)|arm",
    "lower limb": r"lower (?:limb|extremity)|leg",
    "elbow": r"elbow",
    "finger": r"(?:index |ring |little |middle )?finger(?:tip)?|thumb",
    "wrist": r"wrist|carpal",
    "hand": r"(?<!other )(?<!good )(?<!one )(?<!second )(?<!second-)(?<!in )(?<!outstretched )hand(?!s?[- ](?:side|held|on)|\w* of a)",
    "shoulder": r"shoulder(?: blade)?|clavic(?:le|ular)|collar-?bone|scapula",
    "knee": r"knee|patella",
    "hip": r"(?:hip|femoral head)s?",
    "thigh": r"thigh|femur|femoral",
    "shin": r"shin|calf|tibia|fibula|tibial",
    "ankle": r"ankle",
    "foot": r"foot|feet|sole|toe|heel",
    "face": r"(?<!to )face|facial|cheek|nose|nasal|forehead|scalp|chin|lip|eyelid|eyebrow|temple|(?:outer |left |right |the |his |her )ear",
    "brain": r"brain|cerebr\w+|cerebell\w+|intracranial|hemispher\w+|frontal lobe|temporal lobe|ventricular cavit\w+",
    "skull": r"skull|crani(?:um|al)|orbit(?:al)?",
    "jaw": r"jaw|mandib\w+|maxill\w+|teeth|tooth|molar|dental|incisor\w*",
    "neck": r"(?<!femoral )neck(?! of the femur)|cervical|thyroid|larynx",
    "head": r"head(?! of)(?<!humeral head)(?<!femoral head)",
    "lung": r"lungs?|pulmonary|pleura(?:l)?|bronch\w+",
    "heart": r"heart|cardiac|ventric(?:le|ular)|atri(?:um|al)|coronary|aort(?:a|ic)",
    "breast": r"breast",
    "chest": r"chest|thorax|thoracic|mediastin\w+|ribs?|stern(?:um|al)",
    "liver": r"(?:liver|hepatic)(?! (?:function|values|enzymes|failure|disease|tests))",
    "kidney": r"(?:kidneys?|renal|perirenal)(?! (?:function|values|failure|disease))",
    "gallbladder": r"gall[- ]?bladder|bile ducts?|biliary",
    "buttock": r"buttock",
    "groin": r"groin|inguinal",
    "armpit": r"armpit|axilla(?:ry)?",
    "spleen": r"spleen|splenic",
    "pancreas": r"pancrea(?:s|tic)",
    "bowel": r"bowel|intestin\w+|colon(?:ic)?|stomach|gastric|duoden\w+|c(?:a)?ecum|append\w+|rect(?:um|al)",
    "bladder": r"(?<!gall)(?<!gall )(?<!gall-)bladder",
    "uterus": r"uter(?:us|ine)|ovar(?:y|ian)|endometri\w+",
    "prostate": r"prostat\w+",
    "pelvis": r"pelvis|pelvic|sacr(?:um|al)",
    "abdomen": r"abdom(?:en|inal)|belly",
    "spine": r"spine|spinal|vertebra\w*|lumbar|lumbosacral",
    "back": r"\Aback\Z|(?<=the )back|(?<=his )back|(?<=her )back|(?<=patient's )back|(?:upper|lower|mid) back|(?<=patient’s )back",
    "torso": r"torso|trunk",
    "palms or soles": r"palms?",
    "eye": r"(?<!naked )(?<!trained )(?<!my )(?<!keep an )(?<!the )eye(?! out)|(?<=near the )eye|(?<=on the )eye|(?<=in the )eye|(?<=of the )eye|(?<=around the )eye|(?<=below the )eye|(?<=above the )eye|ocular|retina\w*",
}
REGIONS = {
    "head": ("brain", "skull", "jaw", "face", "eye"),
    "chest": ("lung", "heart", "breast"),
    "abdomen": ("liver", "kidney", "spleen", "pancreas", "bowel", "bladder", "gallbladder"),
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

DICOM_PARTS = {
    "cspine": ("spine", "neck"), "tspine": ("spine", "chest"), "lspine": ("spine", "back"), "abdomen": ("abdomen",),
    "humerus": ("upper arm",),
}  # fmt: skip

MURA_PARTS = frozenset(("elbow", "finger", "forearm", "hand", "upper arm", "shoulder", "wrist"))
"""MURA's kinds of studies, of which each is another: a study of a finger is none of the hand."""

SIDES = {
    "both": r"bilateral(?:ly)?|both sides",
    "left": r"left(?:[- ]sided)?(?! (?:untreated|alone|unattended|behind|as it|in place|over))(?<!is left)(?<!be left)",
    "right": r"(?<!you are )(?<!you['’]re )(?<!am I )(?<!that['’]s )(?<!quite )(?<!all )(?<!exactly )right(?:[- ]sided)?(?<!is that right)(?<!that is right)(?<!is this right)(?<!not right)(?<!about right)(?! (?:word|term|way|call|person|question|track|approach|away|now|answer|to |choice|thing|time|treatment|diagnosis))",
}

SEXES = {
    "female": r"female|wom[ae]n|girl|lady|mrs|she|her|hers",
    "male": r"male|m[ae]n|boy|gentlem[ae]n|he|him|his",
}
