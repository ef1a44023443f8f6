"""Ways of taking pictures: value to pattern, and DICOM's codes to values."""

MODALITIES = {
    "dermoscopy": r"dermosc?op(?:y|ic)|dermatosc?op(?:e|ic|y)",
    "mammography": r"mammogra(?:m|ms|phy|phic)|tomosynthesis",
    "angiography": r"angiogra\w+|arteriogra\w+|venogra\w+|phlebogra\w+|(?:ct|mr)a",
    "fluoroscopy": r"fluorosc?op(?:y|ic)",
    "OCT": r"optical coherence tomogra\w+|oct",
    "PET": r"pet|positron emission tomogra\w+",
    "nuclear medicine": r"scintigra\w+|nuclear medicine|bone scan|spect",
    "CT": r"(?:hr|ce|cb|md)?ct|comput(?:ed|eri[sz]ed) (?:axial )?tomogra\w+|cat scan",
    "MRI": r"f?mris?|mr|magnetic resonance",
    "ultrasound": r"ultraso(?:und|nic|nogra\w+|nogram)s?|(?:echo|sono)(?:cardio)?gra(?:m|ms|phy|phic)|doppler",
    "X-ray": r"x[- ]?rays?|radiogra(?:ph|phs|phy|phic|m|ms)|plain films?|roentgenogra\w+|cxr|orthopantomogra\w+|opg",
    "fundus photography": r"fundus (?:photo\w*|image)|fundosc?opy",
    "endoscopy": r"(?:endo|colono|gastro|broncho|laparo|arthro|cysto|colpo)scop(?:y|ic)|endoscopic",
    "microscopy": r"microscop(?:y|ic)|histolog(?:y|ical) (?:slide|image|section)",
    "thermography": r"thermogra(?:m|phy|phic)",
    "densitometry": r"dexa|densitometry",
    "electrography": r"ecg|ekg|electrocardiogra(?:m|phy)|eeg|electroencephalogra(?:m|phy)",
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

DICOM_MODALITIES = {
    "CR": "X-ray", "DX": "X-ray", "RG": "X-ray", "PX": "X-ray", "IO": "X-ray", "MG": "mammography", "CT": "CT",
    "MR": "MRI", "US": "ultrasound", "IVUS": "ultrasound", "PT": "PET", "NM": "nuclear medicine",
    "XA": "angiography", "RF": "fluoroscopy", "OP": "fundus photography", "OPT": "OCT", "ES": "endoscopy",
    "XC": "photograph", "GM": "microscopy", "SM": "microscopy",
}  # fmt: skip
