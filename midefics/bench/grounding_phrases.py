"""How corruptions are told: a table each for tuning the checker, and one written afterwards for measuring it."""

from typing import Generic, NamedTuple, TypeVar

Phrase = TypeVar("Phrase")


class Phrases(NamedTuple, Generic[Phrase]):
    """Ways of saying a wrong thing; the place of a table is the part it serves."""

    tuned: tuple[Phrase, ...]
    held_out: tuple[Phrase, ...]


AGES = Phrases(
    tuned=(
        ("How old is the patient?", "The patient is {n} years old."),
        ("How old is the patient?", "About {n}."),
        ("Who is the patient?", "This is a {n}-year-old patient."),
        ("Who is the patient?", "A patient aged {n}."),
        ("What is known of the patient?", "A person in their {d}s."),
        ("What is known of the patient?", "The patient's age is {n}."),
    ),
    held_out=(
        ("Age of the patient?", "{n}."),
        ("What age group?", "They are in their {d}s."),
        ("Anything about the patient?", "I see a patient of {n} years of age."),
        ("Is age a factor?", "At age {n}, it is."),
        ("Is the patient old?", "The patient is {n}."),
        ("Who is it?", "It belongs to a person who is {n} years old."),
    ),
)
SEXES = Phrases(
    tuned=(
        ("Who is the patient?", "The patient is {sex}."),
        ("Who is the patient?", "A {person}."),
        ("Is the patient {sex}?", "Yes."),
        ("Is the patient {sex}?", "Yes, the patient is {sex}."),
        ("Who was examined?", "It was taken of a {sex} patient."),
        ("Who was examined?", "This {person} came with a complaint."),
    ),
    held_out=(
        ("Anything about the patient?", "We are dealing with a {sex} person."),
        ("Is it a {person}?", "Yes, a {person}."),
        ("Who sent the picture?", "A {person} did; it is the picture of a {sex} patient."),
        ("Sex?", "{Sex}."),
        ("Does sex matter?", "Yes, as the patient is a {person}."),
    ),
)
SIZES = Phrases(
    tuned=(
        ("How large is it?", "It measures {n} mm."),
        ("How large is it?", "About {c} cm across."),
        ("What is its diameter?", "{n} millimetres."),
        ("What is its diameter?", "It has a diameter of {n} mm."),
        ("Is it large?", "Yes, it is {c} cm long."),
        ("Is it large?", "It is {n} x {n} mm in size."),
    ),
    held_out=(
        ("Any measurements?", "Roughly {n} mm in its longest direction."),
        ("Would you call it small?", "No, {c} cm is not small."),
        ("Extent?", "{n} mm by {n} mm."),
        ("Dimensions?", "The long axis is {c} cm."),
        ("And its depth?", "It reaches {n} mm deep."),
    ),
)
SIDES = Phrases(
    tuned=(
        ("Which side is it?", "The {side} side."),
        ("Which side is it?", "It is on the {side}."),
        ("Where is it?", "On the patient's {side} side."),
        ("Where is it?", "{Side}."),
        ("Is it on the {side}?", "Yes."),
        ("Is it on the {side}?", "Yes, on the {side} side."),
    ),
    held_out=(
        ("Laterality?", "{Side}."),
        ("Where exactly?", "Towards the {side} side of the body."),
        ("Is the {side} side the one?", "Yes, it is."),
        ("Which one do I have to treat?", "The {side} one."),
        ("Where does one look?", "Look at the {side}: there it is."),
    ),
)
MODALITIES = Phrases(
    tuned=(
        ("How was the image taken?", "It is {a}."),
        ("How was the image taken?", "With {a}."),
        ("Which modality is this?", "This is {a}."),
        ("Which modality is this?", "{A}."),
        ("Is this {a}?", "Yes."),
        ("Is this {a}?", "Yes, it is."),
    ),
    held_out=(
        ("What technique?", "The technique is that of {a}."),
        ("What sort of picture is it?", "It was obtained as {a}."),
        ("Am I right that this is {a}?", "You are, it is {a}."),
        ("Was {a} made?", "Yes, this is what you see."),
        ("Type of image?", "Clearly {a}."),
    ),
)
LEAKS = Phrases(
    tuned=(
        "The exact subtype is not specified in the provided information.",
        "The metadata do not say so.",
        "According to the caption, this is what is seen.",
        "The dictionary does not mention any further findings.",
        "That is not mentioned in the data.",
        "Unfortunately, no information is given about that.",
        "Based on the given information, this cannot be answered.",
        "The description provided does not tell.",
        "The record states nothing more.",
        "From the available data, nothing else can be concluded.",
    ),
    held_out=(
        "I was not told the patient's history.",
        "The data provided do not include the subtype.",
        "The given metadata lists nothing else.",
        "As stated in the caption, so it is.",
        "The dataset does not say more.",
        "There is no information about this in the record.",
        "It isn't stated in the description.",
        "The archive's entry does not give an age.",
        "The field for the site is empty in the JSON.",
        "Details were not provided.",
    ),
)
DOSES = Phrases(
    tuned=(
        "Take 500 mg of ibuprofen.",
        "The patient should take 1 g of paracetamol three times a day.",
        "Apply a 5 % cream twice daily.",
        "Give 20 mg of prednisolone every day.",
        "One tablet every six hours will help.",
        "Start with 2 ml of the solution.",
        "A dose of 75 µg is right.",
        "Amoxicillin, 875 mg, twice a day.",
    ),
    held_out=(
        "I would start 40 mg of furosemide.",
        "Two tablets in the morning will do.",
        "Put on hydrocortisone 1 % cream.",
        "Ceftriaxone 2 g once a day is the usual choice.",
        "The dose is 10 ml.",
        "Inject 5000 IU of heparin.",
        "Use imiquimod three times a week, 250 mg each.",
        "Paracetamol every 6 hours.",
    ),
)
CERTAIN = Phrases(
    tuned=(
        "This is definitely the case.",
        "There is no doubt about the diagnosis.",
        "The diagnosis is certain.",
        "It is without doubt what it looks like.",
        "One can be 100 % sure.",
        "The diagnosis has been confirmed.",
        "It is certainly so.",
        "The biopsy has proven it: it was confirmed by histology.",
    ),
    held_out=(
        "I am absolutely certain.",
        "The diagnosis stands beyond any doubt.",
        "This has been proven.",
        "No doubt about it.",
        "That is definitive: it is a confirmed diagnosis.",
        "It surely is what I say.",
        "One can say so with 100 % certainty.",
        "It is conclusively shown.",
    ),
)
FINDINGS = Phrases(
    tuned=(
        ("What else is there?", "There is {finding}."),
        ("What else is there?", "{Finding} can be seen."),
        ("Is there {finding}?", "Yes."),
        ("Is there {finding}?", "Yes, {finding} is present."),
        ("Are there other findings?", "It also shows {finding}."),
        ("Are there other findings?", "In addition, {finding} is noted."),
    ),
    held_out=(
        ("Do you notice something else?", "Yes: {finding}."),
        ("Anything else?", "{Finding} as well."),
        ("Further observations?", "One also notes {finding}."),
        ("Is {finding} visible?", "Yes, it is."),
        ("What about {finding}?", "There is {finding}, too."),
        ("What strikes you?", "I am struck by {finding}."),
    ),
)
SKIN_FINDINGS = Phrases(
    tuned=(
        "ulceration",
        "an atypical pigment network",
        "a blue-white veil",
        "irregular borders",
        "satellite lesions",
        "bleeding",
        "telangiectasia",
        "regression structures",
        "scales",
        "crusts",
        "black dots",
        "an asymmetric shape",
    ),
    held_out=(
        "an ulcer",
        "a rosette pattern",
        "milia-like cysts",
        "a ragged edge",
        "hyperkeratosis",
        "erythema",
        "many colours",
        "globules",
        "blood crusts",
        "a shiny white area",
        "induration",
        "hair loss around it",
    ),
)
RADIOLOGY_FINDINGS = Phrases(
    tuned=(
        "a fracture",
        "a dislocation",
        "a pleural effusion",
        "a screw",
        "arthritis",
        "a bone cyst",
        "an abscess",
        "swelling",
        "a stenosis",
        "an aneurysm",
        "a pneumothorax",
        "a metastasis",
        "a foreign body",
        "joint space narrowing",
        "a bone spur",
        "ground-glass opacities",
        "midline shift",
        "atelectasis",
        "an enlarged heart",
        "ascites",
        "pneumonia",
        "a haemorrhage",
    ),
    held_out=(
        "a nodule",
        "a pleural effusion",
        "a fracture line",
        "a torn ligament",
        "an osteophyte",
        "a joint effusion",
        "soft tissue swelling",
        "a calcified mass",
        "a haematoma",
        "lymph node enlargement",
        "a collapsed lung",
        "gas in the joint",
        "a subdural collection",
        "a thrombus",
        "bowel obstruction",
        "gallstones",
        "loosening of a screw",
        "a tumour",
        "osteolysis",
        "periosteal reaction",
        "bone marrow oedema",
        "a cavity",
    ),
)
