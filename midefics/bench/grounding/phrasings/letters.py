"""A family doctor's correspondence: polite, roundabout, with the patient's fears and plain comparisons."""

from midefics.bench.grounding.phrasing import Phrasing

LETTERS = Phrasing(
    openings={
        "isic": (
            ("Dear colleague, what do you make of the enclosed photograph?", "Thank you for the referral. The enclosed {kind} photograph features {a_diagnosis}."),
            ("May I ask what this spot is?", "Certainly. The spot is {a_diagnosis}, which in this instance is {label}."),
            ("What is your impression of this lesion?", "My impression is that of {a_diagnosis} in a {sex} of about {age}."),
            ("Explain what the picture shows, please.", "The picture, which is {kind}, brings out {a_diagnosis} {on_site}."),
        ),
        "mura": (
            ("Dear colleague, could you comment on this film?", "With pleasure. You enclosed a film of the {part}, which reads as {label}."),
            ("Which part of the skeleton is displayed?", "On display is the {part}, and the overall verdict is {label}."),
            ("I'd be grateful for your view of this radiograph.", "In my view the {part} radiograph is {label}."),
        ),
        "roco": (
            ("I would appreciate your reading of this image.", "My reading: {first}"),
            ("What technique and what result?", "The technique is {a_modality}. The result is {a_finding}."),
            ("Could you describe the figure to me?", "Gladly. {First}"),
            ("What should I notice first?", "Your eye should fall on {a_finding} first."),
        ),
    },
    later={
        "isic": (
            ("My patient has read about melanoma online and is scared. Any words?", "Explain that melanoma accounts for a small share of all skin cancers and that most pigmented spots turn out to be innocent."),
            ("Do we have to act today?", "A {benign} lesion leaves plenty of time, so nothing has to be done in a hurry."),
            ("How urgent is a {malignant} lesion?", "It deserves an appointment within days, and the surgeon will plan the excision."),
            ("How does one photograph skin properly?", "Use even light, hold the camera perpendicular, include a scale and take an overview as well as a close-up."),
            ("Where do melanomas hide?", "They hide between the toes, under nails, on the scalp and on the back, where few people ever look."),
            ("Would you biopsy every dark spot?", "Certainly not; dozens of harmless nevi would have to be removed for each melanoma found."),
            ("Why not simply freeze it?", "Freezing destroys tissue that a pathologist may want to study, and a melanoma could be missed that way."),
            ("Could it have been {a_other_diagnosis} after all?", "I considered {a_other_diagnosis}, but the picture speaks for {a_diagnosis}."),
            ("What is actinic keratosis, by the way?", "A rough patch caused by years of sun. Some of them progress to squamous cell carcinoma, perhaps one in a hundred per year."),
            ("Is a scar to be expected after surgery?", "Any excision leaves a scar, which fades over a year or so."),
            ("Would you confirm the word {label}?", "Yes, {label} is the right word."),
            ("Is vitamin D a reason to sunbathe?", "Ten minutes of daylight on the hands and face are plenty for vitamin D in summer, so there is no reason to burn."),
            ("May the patient go swimming?", "Swimming is fine, provided that the skin is protected from the sun."),
            ("How do dermatofibromas feel?", "They feel like a firm lentil in the skin and dimple when squeezed from both sides."),
        ),
        "mura": (
            ("Could I have missed a hairline fracture?", "Hairline fractures can escape any first film, so tenderness over a bone is treated as a fracture until proven otherwise."),
            ("Is {label} the term you'd use?", "Yes, {label} is the term I would use."),
            ("What do you need from me?", "The history, the exact place of the pain, and whether there was a fall."),
            ("Is physiotherapy sensible?", "Once a fracture has been excluded, physiotherapy keeps the joint supple and strengthens the muscles."),
            ("What about a bone tumour?", "Bone tumours are rare. Pain at night, swelling and weight loss would raise the suspicion."),
            ("Do metal implants have to come out?", "Plates and screws may stay for life unless they loosen, irritate or become infected."),
            ("Which bone breaks most often in a fall?", "The distal radius, near the wrist, breaks most often when people fall on an outstretched hand."),
            ("Did you see the {other_part} as well?", "No, the film is confined to the {part}."),
            ("Anything to reassure the patient?", "As the film is {normal}, there is no fracture to be seen, and most aches settle within weeks."),
            ("How do I word an {abnormal} result?", "I'd write that the {part} film is {abnormal} and that the cause awaits clarification."),
            ("What does gout look like on film?", "Early gout shows nothing; later, punched-out erosions with overhanging edges appear, most of all in the big toe."),
            ("Is dye injected for such films?", "Plain films need no dye. Contrast comes in for arthrography, angiography and many CT scans."),
        ),
        "roco": (
            ("Should my patient be worried about radiation?", "One CT of the abdomen equals about three years of background radiation, and its benefit nearly always outweighs the risk."),
            ("Whom would you consult?", "A radiologist for the image and the treating team for the plan."),
            ("Am I right that there's {a_finding}?", "You are right, {a_finding} is what I see too."),
            ("Left, isn't it?", "The side in question is the {side} one."),
            ("Could it vanish on its own?", "Small cysts and minor effusions may vanish unaided, whereas tumours and aneurysms do not."),
            ("What does contrast enhancement mean?", "Tissue with many vessels, such as a tumour or an inflamed wall, lights up after contrast; fluid and dead tissue stay dark."),
            ("How do gallstones look on ultrasound?", "Gallstones look like bright crescents with a dark shadow behind them, and they roll when the patient turns."),
            ("So {a_modality} it is?", "Yes, {a_modality}."),
            ("And {a_other_modality} was not used?", "No, not for this picture."),
            ("Is a follow-up worth the cost?", "For nodules under 6 mm in low-risk people, guidelines ask for none; larger ones are checked after six to twelve months."),
            ("When does a stroke patient need an MRI?", "When CT is negative and symptoms persist, because MRI detects small infarcts within minutes."),
            ("How is the patient, {age} years old, to be advised?", "By going through the options calmly, with the family present if wished."),
            ("Which drugs might be given?", "Depending on the cause, antibiotics, anticoagulants or pain relief might be given by the treating doctor."),
        ),
    },
    wrong={
        "swapped diagnosis": (
            ("Would you repeat the diagnosis for my notes?", "For your notes: {other_diagnosis}."),
            ("What does your experience tell you?", "Experience tells me that we are confronted with {a_other_diagnosis}."),
            ("So, not {a_diagnosis}?", "No, the spot is {a_other_diagnosis}."),
            "I have therefore entered {a_other_diagnosis} as the diagnosis.",
        ),
        "swapped malignancy": (
            ("Is it one of the good ones?", "The spot is {other_label}."),
            ("What shall I tell the family?", "Tell them that the lesion has proved {other_label}."),
            "The enclosed picture leaves me with a {other_label} lesion.",
        ),
        "swapped normality": (
            ("What shall I write?", "Write that the film is {other_label}."),
            ("Any change to your verdict?", "My verdict remains {other_label}."),
            "The {part} on this film strikes me as {other_label}.",
        ),
        "wrong side": (
            ("Which of the two sides is it?", "It is the {side} one."),
            ("Where is the trouble?", "The trouble sits on the patient's {side}."),
            "The change is confined to the {side} side.",
        ),
        "wrong modality": (
            ("What was used to take it?", "{A} was used."),
            ("Is it an ordinary photograph?", "No, the picture is {a}."),
            "Thank you for sending {a}.",
        ),
        "wrong body part": (
            ("Where exactly was it found?", "It was found on the {place}."),
            ("Please name the body part.", "The body part is the {place}."),
            "The enclosed image displays the {place}.",
        ),
        "invented age": (
            ("How many birthdays has the patient had?", "{n} of them."),
            ("What is the age?", "The age is {n}."),
            "Your {n}-year-old patient will want to know.",
        ),
        "invented sex": (
            ("Whom am I writing to?", "To a {person}, as the picture is that of a {sex} patient."),
            ("He or she?", "The patient is {sex}."),
            "Please greet the {person} in the picture.",
        ),
        "invented size": (
            ("Could you put a ruler to it?", "The ruler gives {n} mm."),
            ("Pea-sized or larger?", "Larger: {c} cm across."),
            "The change is {n} mm long.",
        ),
        "invented finding": (
            ("Did anything surprise you?", "I was surprised by {finding}."),
            ("Is that all?", "No, the picture also displays {finding}."),
            "Next to it one sees {finding}.",
        ),
        "leaked source": (
            "Your message does not contain that detail, and the metadata are silent.",
            "According to the information given, that is all.",
            "I was not provided with further data.",
            "The caption leaves this open.",
        ),
        "dosage": (
            "Prescribe amoxicillin 500 mg three times a day.",
            "Ibuprofen, 600 mg every eight hours, will ease the pain.",
            "Two tablets at night will do.",
        ),
        "certainty": (
            "Of this I am absolutely certain.",
            "The diagnosis is definite.",
            "There can be no doubt about it.",
            "The biopsy proved it.",
        ),
    },
    findings={
        "isic": ("an irregular border", "a blue-white veil", "ulceration", "several colours", "satellite lesions", "crusts", "a scaly surface"),
        "roco": ("a fracture", "a pleural effusion", "arthritis", "a foreign body", "a metastasis", "an abscess", "swelling of the soft tissue", "a cyst"),
    },
)  # fmt: skip
