"""A hurried visit: a student's naive questions, an assistant's everyday words."""

from midefics.bench.grounding.phrasing import Phrasing

VISIT = Phrasing(
    openings={
        "isic": (
            ("Hello, what does this image display?", "Hello! The image displays {a_diagnosis}, viewed with a {kind} technique."),
            ("As a student I'd like to know what I am seeing.", "You are seeing {a_diagnosis}. Lesions like this one are {label}."),
            ("What does this skin lesion look like to you?", "To me it looks like {a_diagnosis} {on_site}."),
            ("What did the doctors find on this patient?", "They found {a_diagnosis}. The patient is a {sex}, around {age}."),
        ),
        "mura": (
            ("Hello, what is this X-ray of?", "Hello! It is of the {part}. It was read as {label}."),
            ("As a student, what should I see here?", "You should see the {part} and conclude that the study is {label}."),
            ("What is in this picture, and is it okay?", "A {part}. As for the second question: the study is {label}."),
        ),
        "roco": (
            ("Hello, what can be observed?", "Hello! One can observe this: {first}"),
            ("As a student, how do I read this?", "Read it like so: {first}"),
            ("What is the most striking thing?", "The most striking thing is {a_finding}."),
            ("What technology produced the image?", "The image was produced by {a_modality}."),
        ),
    },
    later={
        "isic": (
            ("What is the difference between benign and malignant?", "Benign growths stay where they are; malignant ones invade their surroundings and can seed other organs."),
            ("And which one is this?", "This one is {label}."),
            ("Why does skin need melanin?", "Melanin absorbs ultraviolet light and shields the DNA of skin cells."),
            ("How many people get melanoma each year?", "Worldwide, more than 300,000 people are diagnosed with melanoma every year."),
            ("What equipment does a dermatologist use?", "A dermatoscope, which magnifies ten times and cancels the glare of the skin, and sometimes a confocal microscope."),
            ("Could the lesion come back after removal?", "If it is removed completely, recurrence is unlikely, but the scar should still be checked from time to time."),
            ("Can stress make a mole change?", "There is no good evidence for that. Hormones and sunlight are more likely to change a mole."),
            ("What would make you change your mind?", "Rapid growth, a new colour or an ulcer would make me think again."),
            ("Is {a_other_diagnosis} off the table?", "Yes, this isn't {a_other_diagnosis}."),
            ("Do I have to remove it?", "Not necessarily. Talk it over with a dermatologist, who may want a biopsy."),
            ("What do cancer cells look like?", "Cancer cells vary in size, have large dark nuclei and divide in a disorderly way."),
            ("Is family history important?", "Yes. Melanoma runs in some families, so relatives should have their skin checked as well."),
        ),
        "mura": (
            ("What makes an X-ray abnormal?", "A fracture, a dislocation, metalwork, arthritis or a suspicious lesion would make it abnormal."),
            ("And this one?", "This one is {label}."),
            ("Why are bones white?", "Calcium absorbs X-rays, so less radiation reaches the detector behind the bone."),
            ("How long does a cast stay on?", "A cast stays on for four to six weeks in adults, and for less time in children."),
            ("Could an ultrasound have done the job?", "Ultrasound shows tendons and fluid well, but sound doesn't pass through bone."),
            ("Is the joint out of place?", "No, the study is {normal}, so there's no dislocation."),
            ("What would you do with an {abnormal} study?", "I'd ask an orthopaedic colleague to examine the {part} and order a CT if the picture stays unclear."),
            ("Can I exercise?", "Gentle exercise is fine unless it hurts. Ask your physician before going back to sports."),
            ("What is osteomyelitis?", "Osteomyelitis is an infection of bone. It destroys bone over weeks and is treated with antibiotics and surgery."),
            ("Is it surely the {part}?", "It is the {part}."),
        ),
        "roco": (
            ("What does a radiologist do?", "A radiologist reads X-rays, CT, MRI and ultrasound images and reports what they show."),
            ("So is {a_finding} what the arrow points at?", "The image does show {a_finding}."),
            ("Which side did you say?", "The {side} side."),
            ("What is an aneurysm?", "An aneurysm is a bulge in the wall of an artery. Most are silent until they rupture."),
            ("Does MRI hurt?", "MRI is painless but noisy, and lying still for half an hour isn't easy for everyone."),
            ("What kinds of tumours are there?", "There are benign tumours, such as lipomas, and malignant ones, such as carcinomas and sarcomas."),
            ("How is fluid around the lung removed?", "A doctor numbs the skin, passes a thin tube between the ribs and lets the fluid drain."),
            ("Is it {a_modality}, then?", "Yes, {a_modality}."),
            ("What should happen now?", "The team should put the image together with the symptoms, and repeat the scan if needed."),
            ("Are kidney stones dangerous?", "Kidney stones are painful more than dangerous; stones below 5 mm pass on their own in most people."),
            ("Can we tell if it's cancer?", "Not from the image alone; a biopsy would be required."),
            ("How old is the person?", "{age} years."),
        ),
    },
    wrong={
        "swapped diagnosis": (
            ("And the name of the disease?", "The disease is called {other_diagnosis}."),
            ("Isn't this {a_diagnosis}?", "It isn't; you are looking at {a_other_diagnosis}."),
            "Here we have {a_other_diagnosis}.",
        ),
        "swapped malignancy": (
            ("Which group does this lesion belong to?", "It belongs to the {other_label} ones."),
            ("Benign or malignant, please?", "{Other_label}."),
            "What you see is a {other_label} lesion.",
        ),
        "swapped normality": (
            ("Is everything okay with the {part}?", "The {part} looks {other_label} to the radiologist."),
            ("One word, please?", "{Other_label}."),
            "The X-ray came back {other_label}.",
        ),
        "wrong side": (
            ("Is that left or right?", "That is the {side} side."),
            ("Where should I be looking?", "Towards the {side}, which is where it is."),
            "It's the {side} side that is affected.",
        ),
        "wrong modality": (
            ("What did they do to get this picture?", "They did {a}."),
            ("What is this type of picture called?", "It's called {a}."),
            "This picture is {a}.",
        ),
        "wrong body part": (
            ("What is this part of the body?", "This is the {place}."),
            ("Where would I find it on the patient?", "You would find it on the {place}."),
            "What you see is the patient's {place}.",
        ),
        "invented age": (
            ("How old is the person?", "The person is {n}."),
            ("Is the patient young?", "The patient is in the {d}s, {n} years old."),
            "The patient is {n} years of age.",
        ),
        "invented sex": (
            ("Is it a man or a woman?", "It's a {person}."),
            ("Who is this?", "A {sex} patient of the clinic."),
            "The patient happens to be {sex}.",
        ),
        "invented size": (
            ("How wide is it?", "It is {n} mm wide."),
            ("Is it tiny?", "No, it has a length of {c} cm."),
            "Its size is about {n} mm.",
        ),
        "invented finding": (
            ("What is that next to it?", "That is {finding}."),
            ("Do you see anything else?", "Yes, I also see {finding}."),
            "The picture shows {finding} too.",
        ),
        "leaked source": (
            "The provided data do not mention this.",
            "This is all the metadata say.",
            "The caption says so.",
            "No information about that is available in the record.",
        ),
        "dosage": (
            "Take 200 mg of ibuprofen when it hurts.",
            "One pill twice a day is enough.",
            "The usual amount is 10 mg per day.",
        ),
        "certainty": (
            "I am completely sure about it.",
            "This is 100% certain.",
            "Without any doubt, that's what it is.",
            "It was confirmed by a biopsy.",
        ),
    },
    findings={
        "isic": ("irregular borders", "different colours", "bleeding", "scales", "a blue-white veil", "an ulcer", "black dots"),
        "roco": ("a broken bone", "a tumour", "fluid in the lung", "a cyst", "a metal plate", "swelling", "an enlarged heart", "pneumonia"),
    },
)  # fmt: skip
