"""Conversations that say nothing without ground: questions and answers with gaps for what a row knows.

Each is told in another voice, with the hedges, negations, general remarks and advice that a language model writes. A gap is
`{name}`; a template is for the rows that can fill all its gaps. The checker was written against the first table; the second was
written afterwards, and serves to measure it.
"""

from typing import NamedTuple


class Template(NamedTuple):
    """One conversation with gaps."""

    sources: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]


_SKIN, _BONE, _FIGURE = ("isic",), ("mura",), ("roco",)

TUNED = (
    Template(_SKIN, (
        ("What can you see here?", "This {kind} image shows {a_diagnosis}."),
        ("Is it dangerous?", "The lesion is {label}."),
        ("Could it be something else?", "A different diagnosis is possible, so a dermatologist may take a biopsy."),
        ("What should the patient do?", "The patient should have it looked at and watch for changes in size, shape or colour."),
    )),
    Template(_SKIN, (
        ("Please describe the picture.", "We are looking at a {kind} picture of a skin lesion, {a_diagnosis}."),
        ("Is this lesion {other_label}?", "No, it is {label}."),
        ("Which specialist deals with this?", "A dermatologist."),
        ("How is such a lesion usually examined?", "With a dermatoscope; if there is doubt, a small sample can be taken to rule out a melanoma or another skin cancer."),
    )),
    Template(_SKIN, (
        ("What does the image show?", "A skin lesion: {a_diagnosis}."),
        ("Is it {other_diagnosis}?", "No, it is not {a_other_diagnosis}; it is {a_diagnosis}."),
        ("Would you call it benign or malignant?", "It is {label}."),
        ("What happens next?", "That depends on the examination. If it changes, bleeds or grows beyond 6 mm, it should be examined again."),
    )),
    Template(_SKIN, (
        ("What kind of image is this?", "A {kind} image of the skin."),
        ("What is the lesion?", "{A_diagnosis}. Lesions of this kind are {label}."),
        ("Does the patient's age matter?", "Yes. The patient is about {age} years old, and the risk of skin cancer rises with age."),
        ("Can sun protection help?", "Yes, clothing and sunscreen protect against further damage, on the face, the arms and the legs alike."),
    )),
    Template(_SKIN, (
        ("Tell me about this patient and the lesion.", "This is a {sex} patient of around {age} years with {a_diagnosis}."),
        ("Is the finding {label}?", "Yes, it is {label}."),
        ("Could it be {a_other_diagnosis}?", "That cannot be excluded from a picture alone, although it looks like {a_diagnosis}."),
        ("What do you recommend?", "A visit to a dermatologist, who may compare it with earlier pictures."),
    )),
    Template(_SKIN, (
        ("What is visible?", "{A_diagnosis}, seen in a {kind} image."),
        ("Is it malignant?", "{yes_malignant}"),
        ("What does that mean for the patient?", "It means that the course depends on the examination, and regular follow-up is sensible."),
        ("Are there alternatives to consider?", "The differential diagnosis could include a melanoma, a nevus and a seborrheic keratosis."),
    )),
    Template(_SKIN, (
        ("Which lesion is in this image?", "It is {a_diagnosis} rather than {a_other_diagnosis}."),
        ("What is a nevus?", "Nevi are common spots made of pigment cells, and most of them never cause trouble."),
        ("Is this one {label}?", "Yes."),
        ("Who should follow it up?", "A skin specialist, with photographs every six to twelve months."),
    )),
    Template(_SKIN, (
        ("Hello, what am I looking at?", "At {a_diagnosis}. The picture is {kind}."),
        ("Man or woman?", "The patient is {sex}."),
        ("How old?", "About {age}."),
        ("Is it a cause for concern?", "{concern}"),
        ("How does one make sure?", "Only a biopsy can confirm the diagnosis; the picture alone is not certain proof."),
    )),
    Template(_SKIN, (
        ("Where is the lesion?", "It lies {on_site}."),
        ("What is it?", "{A_diagnosis}."),
        ("Benign or malignant?", "{Label}."),
        ("Should it be removed?", "A dermatologist would decide that, depending on whether it has changed."),
    )),
    Template(_SKIN, (
        ("Describe the lesion and where it is.", "There is {a_diagnosis} {on_site}, taken as a {kind} image."),
        ("Is it {a_other_diagnosis}?", "No."),
        ("What are warning signs?", "New colours, irregular edges, bleeding or a diameter of more than 6 mm would be reasons to come back."),
        ("What now?", "The lesion might be checked again in a few months."),
    )),
    Template(_SKIN, (
        ("What do we see?", "We see a lesion that is {label}."),
        ("Which diagnosis fits?", "The picture fits {a_diagnosis}."),
        ("Is there any doubt?", "There is always some doubt: a melanoma may look like a nevus, and a nevus may look like a melanoma."),
        ("And the next step?", "An appointment with a dermatologist and, if needed, a biopsy to exclude malignancy."),
    )),
    Template(_SKIN, (
        ("What is this on the skin?", "That's {a_diagnosis}, and it isn't {other_label}."),
        ("Does it differ from {a_other_diagnosis}?", "Yes, unlike {a_other_diagnosis} it has another origin."),
        ("Would an X-ray help?", "No, an X-ray would not show it; a dermatoscope does."),
        ("Any advice?", "Avoid sunburn, and ask a doctor before using any cream on it."),
    )),
    Template(_BONE, (
        ("What does this image show?", "An X-ray of the {part}."),
        ("Is it normal?", "{is_normal}"),
        ("What may be the reason?", "{reason}"),
        ("What should be done next?", "A radiologist should compare it with the examination; an MRI or a CT could follow if pain persists."),
    )),
    Template(_BONE, (
        ("What type of study is this?", "It is a radiograph of the {part}."),
        ("Does it show the {other_part}?", "No, it shows the {part}."),
        ("Is there anything abnormal?", "{any_abnormal}"),
        ("Would you repeat it?", "Only if the symptoms do not go away; then an orthopaedic surgeon could order further views of the joints above and below."),
    )),
    Template(_BONE, (
        ("Please read this film.", "The film shows the {part}. The study is {label}."),
        ("Could there be a fracture?", "{could_fracture}"),
        ("What would you tell the patient?", "That a doctor will examine the {part}, and that rest may help."),
        ("Which further tests are useful?", "A CT may show small fractures that an X-ray misses."),
    )),
    Template(_BONE, (
        ("What are we looking at?", "At an X-ray image: the {part}."),
        ("Abnormal or normal?", "{Label}."),
        ("Is this an MRI?", "No, it is an X-ray, not an MRI."),
        ("What treatment follows?", "Treatment depends on the symptoms; immobilising the {part} might be considered."),
    )),
    Template(_BONE, (
        ("Which body part was X-rayed?", "The {part} was X-rayed."),
        ("Is the knee or the hip visible?", "Neither; only the {part} is in the picture."),
        ("How would you judge it?", "As {label}."),
        ("Can the image alone settle the matter?", "No. An X-ray can miss soft tissue injuries, so the findings have to be seen together with the symptoms."),
    )),
    Template(_BONE, (
        ("Describe the X-ray.", "It shows bones of the {part}, and it was judged {label}."),
        ("Was the study found to be {label}?", "Yes, it was."),
        ("Was it found to be {other_label}?", "No."),
        ("Should the other arm be examined too?", "A view of the other side could help to compare."),
    )),
    Template(_BONE, (
        ("What do you notice?", "{notice}"),
        ("How was it taken?", "With X-rays."),
        ("Is it a picture of a leg?", "No, of the {part}."),
        ("What do you advise?", "If there is pain, swelling or loss of movement, please see a doctor."),
    )),
    Template(_BONE, (
        ("What is shown, and is it all right?", "The {part}; {all_right}."),
        ("What are typical problems there?", "Fractures, dislocations and arthritis are typical problems of joints and bones in general."),
        ("Does one need an operation?", "Whether an operation is needed cannot be told from a single image."),
        ("When should it be checked again?", "Usually after a few weeks, sooner if it gets worse."),
    )),
    Template(_FIGURE, (
        ("What does this image show?", "{First}"),
        ("How was the image made?", "It is {a_modality}."),
        ("What could be done next?", "Further imaging, for example an MRI or a biopsy, might be considered."),
        ("Is it urgent?", "That depends on the symptoms; a doctor should decide."),
    )),
    Template(_FIGURE, (
        ("What can be seen?", "{A_modality} with {a_finding}."),
        ("On which side?", "On the {side}."),
        ("Is it on the {other_side}?", "No, on the {side}."),
        ("What might be the cause?", "There are several possible causes, such as an infection, an injury or a tumour; more tests would be needed."),
    )),
    Template(_FIGURE, (
        ("Please summarise the figure.", "{First}"),
        ("Is there {a_finding}?", "Yes, there is {a_finding}."),
        ("Is it an ordinary photograph?", "No."),
        ("What would you do?", "I would discuss it with a specialist and consider a follow-up CT in a few weeks."),
    )),
    Template(_FIGURE, (
        ("Which modality was used?", "{Modality}."),
        ("What is the main finding?", "{A_finding} on the {side} side."),
        ("Could it be malignant?", "It may or may not be; a tissue sample could answer that."),
        ("How should it be followed?", "With repeated imaging and a clinical examination."),
    )),
    Template(_FIGURE, (
        ("What am I looking at?", "You are looking at {a_modality}. It shows {a_finding}."),
        ("Do you see it clearly?", "Yes, it can be seen."),
        ("What does it mean?", "Such a finding can have harmless or serious reasons."),
        ("Next steps?", "Comparison with older images, and laboratory tests if there are signs of infection."),
    )),
    Template(_FIGURE, (
        ("Can you describe this?", "Here {a_finding} is seen."),
        ("Left or right?", "{Side}."),
        ("What should be ruled out?", "A tumour, a fracture and an infection should be ruled out."),
        ("Who should see the patient?", "A radiologist first, then the doctor in charge."),
    )),
    Template(_FIGURE, (
        ("What is presented in this picture?", "{A_modality}: {first}"),
        ("Was it taken with {a_other_modality}?", "No, with another technique."),
        ("Are further examinations needed?", "If the symptoms persist, an ultrasound or a CT would be useful."),
        ("Any word of caution?", "An image never replaces an examination."),
    )),
    Template(_FIGURE, (
        ("Tell me the age of the patient.", "The patient is {age} years old."),
        ("What was found?", "{First}"),
        ("Is that common?", "It can be, but it depends on many things."),
        ("What next?", "Possibly a second opinion."),
    )),
    Template(_FIGURE, (
        ("What is the finding in this {modality}?", "The finding is {a_finding}."),
        ("Is the {side} side affected?", "Yes, the {side} side is."),
        ("Would surgery be an option?", "It might be one; a surgeon should be asked."),
        ("How sure can one be?", "Not entirely: without a tissue sample nobody can be certain."),
    )),
    Template(_FIGURE, (
        ("A short report, please.", "{A_modality} shows {a_finding}, {side} side."),
        ("Is this normal?", "No, {a_finding} is not a normal finding."),
        ("What helps the patient now?", "A careful examination, and treatment of the cause once it is known."),
        ("What should be avoided?", "Drawing conclusions from one image alone."),
    )),
    Template(_SKIN, (
        ("Doctor here. First impression?", "A pigmented spot on the skin that I would read as {a_diagnosis}."),
        ("So is that good or bad news?", "It counts as {label}."),
        ("What worries you most?", "Nothing can be told for certain from one photograph, and that is why an examination in person matters."),
        ("Plan?", "Refer to dermatology, compare with old pictures, consider an excision if it evolves."),
    )),
    Template(_SKIN, (
        ("Could you tell me what this {kind} image depicts?", "Certainly, it depicts {a_diagnosis}."),
        ("Can we rule out {a_other_diagnosis}?", "In practice only histology can rule that out."),
        ("How does {a_other_diagnosis} differ?", "{A_other_diagnosis} tends to look different in colour and structure, and its treatment differs as well."),
        ("What would you tell the patient?", "To keep an eye on it and to return if it itches, bleeds or changes its shape."),
    )),
    Template(_SKIN, (
        ("What is the nature of this lesion?", "The lesion is of {label} nature; the diagnosis is {diagnosis}."),
        ("Is {other_diagnosis} the right word for it?", "No, {diagnosis} is."),
        ("How often does one need to check such a thing?", "There is no fixed rule. Many doctors look again after three to six months."),
        ("Is laser treatment a good idea?", "Not before a doctor has seen it, because a malignant lesion must never be lasered away unseen."),
    )),
    Template(_SKIN, (
        ("Patient details?", "{Sex}, about {age} years of age."),
        ("And what do we see?", "{A_diagnosis} photographed as a {kind} image."),
        ("Do you consider it {other_label}?", "I do not; I consider it {label}."),
        ("Who is at risk of melanoma in general?", "People with fair skin, many moles, sunburns in childhood or a family history of melanoma."),
        ("Anything to do at home?", "Check the whole skin once a month, including the back, the scalp and the soles of the feet."),
    )),
    Template(_SKIN, (
        ("What catches the eye?", "A lesion {on_site}. It is {a_diagnosis}."),
        ("Is the lesion cancer?", "{yes_malignant}"),
        ("What may happen if one waits?", "A {label} lesion behaves as such lesions do; any growth, ulceration or bleeding would call for another look."),
        ("Whom to ask?", "A dermatologist or, failing that, the family doctor."),
    )),
    Template(_SKIN, (
        ("Give me one line.", "{Kind} image, {diagnosis}, {label}."),
        ("Is the patient {sex}?", "Yes."),
        ("Which test would settle it?", "Histopathology of a biopsy would settle whether it is a nevus, a melanoma or something else."),
        ("Should I be worried?", "Worry does not help; an appointment does."),
    )),
    Template(_SKIN, (
        ("What would a colleague see?", "Probably the same: {a_diagnosis}, and not {a_other_diagnosis}."),
        ("What speaks against {a_other_diagnosis}?", "The overall picture fits {a_diagnosis} better."),
        ("What is dermoscopy good for?", "It lets one look below the surface and find signs of melanoma or basal cell carcinoma early."),
        ("Do you advise surgery?", "That is for the treating doctor to decide together with the patient."),
    )),
    Template(_BONE, (
        ("Good morning, what film is this?", "Good morning. This is a plain radiograph, and the part examined is the {part}."),
        ("Your verdict?", "{Label} study."),
        ("Would an ultrasound be better?", "For tendons and joint fluid perhaps, but bones are seen better on X-rays."),
        ("What if the patient cannot move the {part}?", "Then a fracture, a dislocation or a torn tendon has to be considered, whatever a single picture shows."),
    )),
    Template(_BONE, (
        ("Is the picture of the {other_part}?", "It isn't; you see the {part}."),
        ("Would you call this study {label}?", "I would."),
        ("What causes abnormal studies of this kind?", "Fractures, metal implants, arthritis or tumours, for instance."),
        ("How would you go on?", "By asking about pain and injuries, and by examining the joint."),
    )),
    Template(_BONE, (
        ("What's in the image?", "{notice}"),
        ("Are there signs of an abnormality?", "{any_abnormal}"),
        ("Could one miss something on it?", "Yes. Hairline fractures and early infection of bone are easily missed on a first X-ray."),
        ("So what next?", "If the pain goes on, one takes another picture after ten days or an MRI."),
    )),
    Template(_BONE, (
        ("Tell me which joint or bone it is.", "{Part}."),
        ("Normal?", "{is_normal}"),
        ("Does that mean surgery?", "Not by itself."),
        ("What about sports?", "One should rest until a doctor has examined the {part} and says otherwise."),
    )),
    Template(_BONE, (
        ("Describe it to a layman.", "It is a picture made with X-rays. One sees the bones of the {part}, and doctors found it {label}."),
        ("Would you need the left and the right for comparison?", "It can be useful to have both, but it is not needed every time."),
        ("Is this a chest film?", "No, the chest is not on it."),
        ("Which questions remain?", "Whether there was an accident, and where exactly it hurts."),
    )),
    Template(_FIGURE, (
        ("Can you walk me through it?", "Sure. {First}"),
        ("Is it {a_modality}?", "Yes, exactly."),
        ("And not {a_other_modality}?", "No, that would look different."),
        ("What would you suggest?", "To correlate it with the symptoms and, depending on them, to order an MRI or a CT with contrast."),
    )),
    Template(_FIGURE, (
        ("What do you make of this?", "The picture, {a_modality}, reveals {a_finding}."),
        ("Which side is affected?", "{Side}-sided."),
        ("Could the cause be infectious?", "An infection is one of several explanations; a tumour or an old injury would be others."),
        ("Treatment?", "It depends on the cause, so that has to be found first."),
    )),
    Template(_FIGURE, (
        ("Is there anything to see at all?", "Yes, {a_finding}."),
        ("Have you seen {a_finding} like this before?", "They do occur; how common they are depends on age and illness."),
        ("Should one operate?", "Nobody can tell from the picture alone."),
        ("What would you look for in the next scan?", "Whether it has grown or shrunk, and whether there are new lesions, fluid or metastases."),
    )),
    Template(_FIGURE, (
        ("Report?", "{First}"),
        ("Main point?", "The {finding}."),
        ("Does the {side} side matter here?", "Yes, that is the side it lies on."),
        ("Would you biopsy it?", "A biopsy could be discussed if it may be malignant."),
    )),
    Template(_FIGURE, (
        ("Age?", "{age} years old."),
        ("What do we have?", "{A_modality}."),
        ("What did the radiologist describe?", "{First}"),
        ("Are you sure?", "As sure as one can be with one image; more views might help."),
    )),
    Template(_FIGURE, (
        ("What is seen, and where?", "{A_finding}, {side}."),
        ("Is it seen on the {other_side} as well?", "That side is not what this figure is about."),
        ("What is the worst case?", "The worst case would be a malignant tumour with metastases, but that is only one possibility."),
        ("And the best?", "A harmless change that needs no treatment."),
    )),
)  # fmt: skip

HELD_OUT = (
    Template(_SKIN, (
        ("Kindly assess this photo.", "It presents {a_diagnosis}, a {label} finding."),
        ("Are you thinking of {a_other_diagnosis}?", "Not really. {A_diagnosis} is what I think of."),
        ("When is a sample taken?", "When the picture leaves doubts, or when the spot grows quickly."),
        ("A word to the patient?", "Please make an appointment with a skin doctor, and do not scratch it."),
    )),
    Template(_SKIN, (
        ("Anything known of the person?", "A {sex}, roughly {age} years old."),
        ("What did the camera catch?", "{A_diagnosis}; the image is {kind}."),
        ("Dignity?", "{Label}."),
        ("Can moles become melanoma?", "Rarely, but a mole that changes has to be looked at, since melanoma can start in one."),
    )),
    Template(_SKIN, (
        ("Where and what?", "{On_site}: {a_diagnosis}."),
        ("Would a colleague agree that it is {label}?", "Most likely, as it is {label}."),
        ("Which signs make a lesion suspicious?", "Asymmetry, irregular borders, several colours, a large diameter and change over time."),
        ("How do we proceed?", "With a full skin check, then a decision on whether to excise."),
    )),
    Template(_BONE, (
        ("I have a film of an arm here.", "Indeed, and of the {part} to be exact."),
        ("Did the radiologist consider it {label}?", "Yes, {label}."),
        ("What do radiologists look for?", "For breaks in the cortex, shifted joints, swelling and foreign material."),
        ("Is a cast needed?", "Only if a fracture is proven and the surgeon wants one."),
    )),
    Template(_BONE, (
        ("Which region, and how does it look?", "{Part}, {label}."),
        ("Did they use ultrasound?", "No, radiography."),
        ("And if pain remains?", "Then an MRI might find what an X-ray does not, such as a bruise of the bone or a torn ligament."),
        ("Thanks. Anything else?", "Look at the patient, not just at the picture."),
    )),
    Template(_FIGURE, (
        ("Present the case.", "{First}"),
        ("So we have {a_finding}?", "Yes, {a_finding}."),
        ("Which complications do you fear?", "Bleeding, infection and, in some cases, rupture."),
        ("What do you propose?", "Close observation, and surgery if it gets worse."),
    )),
    Template(_FIGURE, (
        ("Name the technique.", "{Modality}."),
        ("Name the side.", "{Side}."),
        ("Name the finding.", "{Finding}."),
        ("Name some other things that look alike.", "Cysts, abscesses and tumours can look alike."),
    )),
    Template(_FIGURE, (
        ("What does {a_modality} like this tell us?", "That there is {a_finding}."),
        ("Could {a_other_modality} tell more?", "It could, for example about soft tissue or blood flow."),
        ("Was that the cause of the pain?", "Possibly. Other causes are not excluded."),
        ("Who decides on treatment?", "The team that knows the patient."),
    )),
)  # fmt: skip
