"""Ways of putting things, one to a line: what is known, the question, the answer, and the kinds of problems in it."""

import pytest

from midefics.grounding import kinds, problems
from midefics.records import Scalar, Turn

ROWS: dict[str, tuple[str, dict[str, Scalar]]] = {
    "nevus": (
        "isic",
        {
            "age_approx": 45, "anatom_site_general": "lower extremity", "benign_malignant": "benign", "diagnosis": "nevus",
            "image_type": "dermoscopic", "sex": "male", "clin_size_long_diam_mm": 4.2,
        },
    ),
    "abnormal": ("mura", {"body_part": "wrist", "study_label": "abnormal"}),
    "normal": ("mura", {"body_part": "wrist", "study_label": "normal"}),
    "finger": ("mura", {"body_part": "finger", "study_label": "normal"}),
    "caption": (
        "roco",
        {"caption": "Chest CT of a 62-year-old woman: a 3 cm nodule in the left lung, no effusion; the right lung is clear."},
    ),
}  # fmt: skip
SAID = r"""
nevus | Can we drop melanoma from the list? | Yes, that has been dropped. |
nevus | Is melanoma ruled out? | Yes. |
nevus | Has a melanoma been excluded? | Yes, it has. |
nevus | Is a melanoma out of the question? | Yes, it is out of the question. |
nevus | Is melanoma unlikely? | Yes, very unlikely. |
nevus | Isn't this a melanoma? | No. |
nevus | Isn't this a melanoma? | Yes. | diagnosis
nevus | Isn't it a nevus? | No, it's a dermatofibroma. | diagnosis
nevus | So it isn't a melanoma? | No, it isn't. |
nevus | So it isn't a melanoma? | That's right. |
nevus | It is not a melanoma, is it? | No. |
nevus | It is not a melanoma, is it? | Correct, it is not. |
nevus | This is a melanoma, isn't it? | Yes, it is. | diagnosis
nevus | This is a melanoma, isn't it? | It is. | diagnosis
nevus | Is this a melanoma? | It is indeed. | diagnosis
nevus | Is this a melanoma? | It is not. |
nevus | Is it a melanoma? | Exactly. | diagnosis
nevus | Is it a melanoma? | That is correct. | diagnosis
nevus | Would you call it a melanoma? | Yes, I would. | diagnosis
nevus | Could we call it a melanoma? | Yes. | diagnosis
nevus | Can you see an ulcer? | Yes, I can. | finding
nevus | Do you see an ulcer? | I do. | finding
nevus | Do you notice any bleeding? | Yes. | finding
nevus | Does the patient have a family history? | Yes, of melanoma. | finding
nevus | Is family history relevant? | Yes, it is. |
nevus | Does family history matter? | Yes, a family history of melanoma raises the risk. |
nevus | Is it important to ask about family history? | Yes. |
nevus | What is a risk factor? | A family history of melanoma, fair skin and sunburns. |
nevus | Is bleeding a bad sign? | Yes, it can be. |
nevus | Is an ulcer dangerous? | Yes, ulcers can get infected. |
nevus | Is melanoma hereditary? | Yes, in some families it is. |
nevus | Are melanomas always dark? | No, some are pink. |
nevus | Is dermoscopy painful? | No, it doesn't hurt at all. |
nevus | Is MRI used for skin? | No, MRI is not needed for skin. |
nevus | Is cancer contagious? | No, cancer cannot be caught from others. |
nevus | What is next to it? | That is an ulcer. | finding
nevus | What is that dark spot? | That's a melanoma. | diagnosis
nevus | What are those? | Those are scales. | finding
nevus | And there? | Bleeding. | finding
nevus | What else? | Bleeding, I am afraid. | finding
nevus | Where should one look? | At the left side. | side
nevus | Where would I see it? | You'd see it on the face. | site
nevus | Where can it be found? | It can be found on the back. | site
nevus | Where does it sit? | It sits on the cheek. | site
nevus | Where on the body? | Somewhere on the arm. | site
nevus | Where do I look? | Look at the arm. | site
nevus | Which part of the body would you say? | I would say the arm. | site
nevus | What should I see here? | You should see a melanoma. | diagnosis
nevus | What am I supposed to conclude? | Conclude that this is malignant. | malignancy
nevus | What did the doctors find? | They found a melanoma. | diagnosis
nevus | What did the dermatologist say? | The dermatologist said it is a melanoma. | diagnosis
nevus | What did the report conclude? | It concluded that this was a melanoma. | diagnosis
nevus | What did the biopsy find? | A melanoma. | diagnosis
nevus | What do dermatologists look for? | They look for asymmetry, irregular borders and several colours. |
nevus | What do pathologists find in melanoma? | They find atypical cells and sometimes an ulcer. |
nevus | What could mimic it? | Seborrheic keratosis, dermatofibroma or a melanoma. |
nevus | What is in the differential? | Melanoma, dermatofibroma and lentigo. |
nevus | Is it consistent with a melanoma? | Yes. | diagnosis
nevus | What is it consistent with? | It is consistent with a melanoma. | diagnosis
nevus | What do the features point to? | They point to a melanoma. | diagnosis
nevus | What do you favour? | I favour a melanoma. | diagnosis
nevus | What is it most likely? | Most likely a melanoma. | diagnosis
nevus | What does it resemble? | It resembles a stain more than a melanoma. |
nevus | Any sign of ulceration? | There is no sign of bleeding, but an ulcer is present. | finding
nevus | Anything worrying? | Nothing, no bleeding and no scales. |
nevus | If it bleeds, what then? | If it bleeds, see a doctor. |
nevus | What if it turns into a melanoma? | Then it would be removed; melanoma is treated by excision. |
nevus | What is the biopsy for? | To make sure that it is not a melanoma. |
nevus | Why a biopsy? | In order to exclude a melanoma. |
nevus | When is a nevus worrying? | When it bleeds, itches or gets an irregular border. |
nevus | What is the ABCDE rule? | Asymmetry, irregular border, several colours, a diameter above 6 mm, and evolution. |
nevus | How does a nevus differ from a melanoma? | A nevus has regular borders and one colour, a melanoma irregular borders and several colours. |
nevus | Is it as bad as a melanoma? | No, a nevus is far less dangerous than a melanoma. |
nevus | What is worse? | A melanoma is worse than a nevus. |
nevus | Compared with a melanoma? | Compared with a melanoma, it is harmless. |
nevus | Do studies support that? | Studies have found that sunscreen protects against melanoma. |
nevus | Who gets melanomas? | Mostly people with fair skin; women on the legs, men on the back. |
nevus | How big do nevi get? | Nevi are mostly smaller than 6 mm, though some reach 20 mm. |
nevus | At what age do nevi appear? | In childhood, up to the age of 30. |
nevus | How old is he? | He is sixty-three. | age
nevus | How old is he? | Forty-five years. |
nevus | How large is it? | It is twelve millimetres long. | size
nevus | How large is it? | About a centimetre and a half. | size
nevus | How large is it? | It is four millimetres wide. |
nevus | What sex is the patient? | Female. | sex
nevus | Who came in? | A lady came in with this spot. | sex
nevus | Who is this? | It's a woman's leg. | sex
nevus | Is it the left leg? | Yes. | side
nevus | Is it the left leg? | No, the right one. | side
nevus | Which leg is it? | The left. | side
nevus | Left or right? | Left. | side
nevus | Am I right? | Yes, you are right. |
nevus | Is that right? | That's right, it is a nevus. |
nevus | What are the lesions? | Melanomas. | diagnosis
nevus | What are the lesions? | Basal cell carcinomas. | diagnosis
nevus | Which technique? | An x-ray film. | modality
nevus | How was it imaged? | Using magnetic resonance imaging. | modality
nevus | How was it imaged? | Through a dermatoscope. |
nevus | Would a CT help? | No, a CT would show nothing more. |
nevus | Should I have an ultrasound? | An ultrasound isn't needed for a nevus. |
nevus | Does dermoscopy beat the naked eye? | Yes. Dermoscopy shows structures below the surface, such as a pigment network. |
nevus | What is a pigment network? | A grid of brown lines; it is made by melanin in the ridges of the epidermis. |
nevus | Does it have a pigment network? | It does. | finding
nevus | Does it have a pigment network? | It doesn't. | finding
nevus | Are there dots? | There are. | finding
nevus | Are there dots? | There aren't any. | finding
nevus | Is the border irregular? | No. |
nevus | Is the border irregular? | Yes, quite. | finding
nevus | How would you describe the border? | Irregular. |
nevus | How would you describe the border? | Irregular borders. | finding
nevus | Could this become a melanoma? | Yes, any nevus could. |
nevus | Might it be a melanoma? | Yes, it might. |
nevus | Is there a risk of melanoma? | Yes, a small one. |
nevus | Does he need a biopsy to rule out a melanoma? | Yes. |
nevus | Is it possible that it's a melanoma? | Yes, it's possible. |
nevus | Did he have a melanoma before? | Yes, ten years ago. | diagnosis
nevus | Suppose it were a melanoma? | Then the surgeon would take it out with a margin of 1 cm. |
nevus | My aunt had a melanoma. Is mine one? | No, yours is a nevus. |
nevus | My friend says it's a melanoma. | Your friend is wrong: it's a nevus. |
nevus | Some say it's a melanoma. And you? | I disagree; to me it is a nevus. |
nevus | One word? | Malignant. | malignancy
nevus | Good or bad? | Bad: cancer. | malignancy
nevus | Is it cancer? | I'm afraid so. | malignancy
nevus | Is it cancer? | Fortunately not. |
nevus | Is it cancer? | Not at all. |
nevus | Is it cancer? | It is, unfortunately. | malignancy
nevus | Is it cancerous, then? | Nope. |
nevus | Is this lesion harmless? | No. | malignancy
nevus | Is this lesion harmless? | Far from it. | malignancy
nevus | Is it benign, doctor? | Sadly no. | malignancy
nevus | Is it benign? | It isn't. | malignancy
nevus | What does malignant mean? | It means that cells invade other tissue. |
nevus | What does benign mean? | A benign growth does not spread. |
nevus | Is benign the same as harmless? | Benign lesions are usually harmless. |
nevus | Why do doctors photograph moles? | Photographs let them compare a mole over time. |
nevus | How is melanoma staged? | By its thickness: a tumour under 1 mm has a good outlook, and one above 4 mm a poor one. |
nevus | How deep do needles go? | About 5 mm. |
nevus | What margin will be taken? | Two millimetres around a nevus is enough. |
nevus | What is the survival? | More than 90% live for five years. |
nevus | Does sun harm the skin? | Yes; the face, the ears and the hands get most of it. |
nevus | Can moles occur on the back? | Yes, anywhere, the back included. |
nevus | Where do melanomas occur in men? | In men, on the back; in women, on the legs. |
nevus | What did you call it again? | I called it a melanoma. | diagnosis
nevus | What is your impression? | My impression: melanoma. | diagnosis
nevus | Anything else? | A blue-white veil can be appreciated. | finding
nevus | Anything else? | Note the blue-white veil. | finding
nevus | Tell me about the surface. | It bears scales. | finding
nevus | Tell me about the surface. | Scaly and ulcerated. | finding
nevus | Why is it called a nevus? | The word is Latin for birthmark. |
nevus | Would freezing work? | Freezing works for warts and actinic keratoses, not for nevi. |
nevus | Would cream help? | Creams treat eczema or psoriasis, but they don't remove a nevus. |
nevus | Is he at risk? | Someone with many moles, a family history or sunburns has a higher risk. |
nevus | What did they do? | They did a biopsy, and it showed a melanoma. | diagnosis
nevus | Give the case in keywords. | **Sex:** female. | sex
nevus | Give the case in keywords. | - Gender: female\n- dermoscopy | sex
nevus | A few lines, please. | 1. Nevus 2. Side: left | side
nevus | A few lines, please. | **Diagnosis:** melanoma **Site:** leg | diagnosis
nevus | A few lines, please. | **Diagnosis:** nevus **Site:** leg |
nevus | Female patient? | Yes. | sex
nevus | Female patient? | No, male. |
nevus | Arm, I presume? | Correct. | site
nevus | Leg, I take it? | You presume correctly. |
nevus | An ulcer – yes or no? | Yes. | finding
nevus | Not malignant, then? | Right, not malignant. |
nevus | Benign or malignant? | The latter. | malignancy
nevus | Benign or malignant? | The former. |
nevus | A nevus or a melanoma? | The second one. | diagnosis
nevus | Is he 60? | Yes. | age
nevus | Is he 45? | Yes. |
nevus | Any room for doubt? | None. | certainty
nevus | Are you sure? | Absolutely. | certainty
nevus | Are you sure? | As sure as one can be without a biopsy. |
nevus | Synonyms of lentigo? | Liver spot, age spot, solar lentigo. |
nevus | Which checks are there? | Total body photographs, dermoscopy and, in doubt, a biopsy. |
nevus | What do you do with a large mole? | Under 6 mm nothing; 6 to 10 mm, a picture every year. |
nevus | Is sunscreen enough? | Use a hat as well. By the way, the patient's left is the affected side. | side
nevus | Why do moles fade? | Moles fade with age. This is on the right, in case you hadn't noticed. | side
nevus | Where would you point? | To the left, because that's where it is. | side
nevus | How would you title it? | "An MRI scan". | modality
nevus | What speaks for it? | Mainly the ulcer, which the picture clearly shows. | finding
nevus | Will it need surgery? | Surgery plays a minor role in nevi nowadays. |
nevus | Is it a melanoma? | I would consider a melanoma less likely here. |
nevus | Is it a melanoma? | A melanoma fits the picture best. | diagnosis
nevus | Any thoughts? | What a nice example of a melanoma. | diagnosis
nevus | Could you tell me the place? | Certainly. The place is the patient's back. | site
nevus | What next? | He should rest the affected left leg. | side
nevus | What next? | Since we only have a CT scan to go by, more images may help. | modality
abnormal | Pitfalls? | Tip: in a child with a fall, think of a fracture of the elbow. |
abnormal | Is there a break? | Yes, there is a fracture. | finding
abnormal | What might it be? | A fracture, hardware or arthritis. |
abnormal | Does abnormal mean broken? | Not always. It may be arthritis, an implant or an old injury. |
abnormal | Does abnormal mean broken? | No, hardware and arthritis count as abnormal too. |
abnormal | Can a fracture be missed? | Yes, hairline fractures are missed at times. |
abnormal | Is a cast needed for every fracture? | No, some fractures need only a splint. |
abnormal | How do fractures heal? | Bone forms a callus within weeks. |
abnormal | Is it okay? | Everything is normal. | normality
abnormal | Is it normal? | Yes. | normality
abnormal | Is it normal? | It's fine. |
abnormal | Does it look healthy? | It looks healthy. | normality
abnormal | Which joint? | The elbow. | site
abnormal | Is this an elbow? | Yes. | site
abnormal | Is this an elbow? | No, a wrist. |
abnormal | Is this an elbow? | No, it's the shoulder. | site
abnormal | What should I see? | You should see the elbow. | site
abnormal | What are we dealing with? | With a shoulder. | site
abnormal | What do I have before me? | Before you is a knee. | site
abnormal | And next to the wrist? | There is a screw. | finding
abnormal | Which side? | It is on the left. | side
abnormal | What was used? | They used ultrasound. | modality
abnormal | Would MRI add anything? | MRI adds detail about ligaments and cartilage. |
abnormal | Is X-ray harmful? | The dose of a wrist X-ray is tiny, about a day of natural background. |
abnormal | Do children break wrists? | Yes, children often fall on the hand and break the radius. |
abnormal | Is rest enough? | For a sprain, rest is enough; a fracture needs a cast. |
abnormal | Is a dislocation worse? | A dislocation hurts more than a sprain. |
abnormal | Could you explain osteoporosis? | Bones lose mass, and a fall may cause a fracture. |
finger | What is it? | An X-ray of the hand. | site
finger | What is it? | An X-ray of a finger. |
finger | Which limb? | It belongs to the upper limb. |
finger | Is it the thumb? | It is a finger. |
normal | Any fracture? | None. |
normal | Any fracture? | No fracture, no dislocation. |
normal | Is a fracture off the table? | Yes. |
normal | Can a fracture be excluded? | Yes. |
normal | Is it free of fractures? | Yes. |
normal | Is it free of fractures? | No. | finding
normal | Isn't there a fracture? | There isn't. |
normal | Isn't there a fracture? | There is. | finding
normal | Does it lack anything? | No. |
normal | Is something broken? | Yes, a bone is broken. | finding
normal | Is it abnormal? | No. |
normal | Is it abnormal? | Quite so. | normality
caption | What is in the left lung? | A nodule of three centimetres. |
caption | What is in the left lung? | A cyst. | finding
caption | Is there fluid? | No effusion. |
caption | Is there fluid? | There is an effusion. | finding
caption | How was it made? | It was made with ultrasound. | modality
caption | How was it made? | With a CT scanner. |
caption | What is that? | That is a pneumothorax. | finding
caption | What is that? | Pneumonia. | finding
caption | Is that a pneumothorax? | It is. | finding
caption | Is that a pneumothorax? | That's it. | finding
caption | And the heart? | The heart is enlarged. | finding, site
caption | And the heart? | The heart is enlarged. | finding, site
caption | What is a pneumothorax? | Air between lung and chest wall. It makes the lung collapse. |
caption | What is a pneumothorax? | That is air around the lung. |
caption | What is a nodule? | That is a small round shadow; larger ones are called masses. |
caption | Is a nodule always cancer? | No, scars and infections cause them too. |
caption | What causes nodules? | Infections, scars, metastases and early lung cancer. |
caption | How are clots treated? | With drugs that thin the blood. |
caption | What would you do? | I would compare it with older scans and get a PET. |
caption | Does the patient smoke? | Smoking raises the risk of lung cancer and emphysema. |
caption | How old is the woman? | She is 62. |
caption | How old is the woman? | She's in her thirties. | age
caption | How old is the woman? | Fifty. | age
caption | Is it a man? | No, a woman. |
caption | Is it a man? | Yes. | sex
caption | Which lung? | The left one. |
caption | Is it malignant? | That can't be told from a picture. |
caption | Where would you put a needle? | Into the nodule, under CT guidance. |
caption | And besides that? | Besides, a tumour in the liver. | finding, site
caption | What happens in a stroke? | A clot blocks an artery of the brain. |
caption | What is in the image besides? | There's swelling. | finding
caption | What did the radiologist miss? | The radiologist missed a fracture. | finding
caption | Has she had surgery? | She has a prosthesis. | finding
"""
CASES = [tuple(part.strip() for part in line.split("|")) for line in SAID.strip().splitlines()]


@pytest.mark.parametrize(("row", "question", "answer", "expected"), CASES)
def test_an_answer_is_understood(row: str, question: str, answer: str, expected: str) -> None:
    name, metadata = ROWS[row]
    assert kinds(problems(name, metadata, [Turn(question=question, answer=answer.replace("\\n", "\n"))])) == expected
