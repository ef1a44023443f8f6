"""What is said at a bedside in passing, one to a line: what is known, the question, the answer, and the problems in it."""

import pytest

from midefics.grounding import kinds, problems
from midefics.records import Turn
from tests.test_grounding_moves import ROWS

SAID = """
nevus | How would a pathologist see this? | Under the lens, nests of melanocytes; nothing of a melanoma. |
nevus | Does the sun matter here? | Sunlight damages DNA, and that is how melanomas begin. |
nevus | Should I be scared? | There's no reason to be; nevi like yours hardly ever change. |
nevus | Who treats skin cancer? | Dermatologists and surgeons, and oncologists when it has spread to lymph nodes or lungs. |
nevus | How long does a scar stay? | Scars pale within a year or two. |
nevus | Which features made you say nevus? | An even colour and a regular border. | finding
nevus | How sure can one be from a picture? | Not very; only a biopsy settles it. |
nevus | Tell me something about moles. | Everybody has some. They appear in childhood and fade in old age; a new one after fifty should be looked at. |
nevus | Is it dangerous to scratch a mole? | It may bleed, but it won't turn malignant. |
nevus | What would a biopsy involve? | A small piece of skin, 3 to 4 mm across, is punched out under local anaesthesia. |
nevus | Has it been there long? | A picture can't say; ask the patient. |
nevus | How is dermoscopy different from a photograph? | Polarised light removes glare and shows pigment and vessels deeper down. |
nevus | May I go swimming? | Sure, with sunscreen on your face, shoulders and back. |
nevus | Is laser an option? | Lasers suit vessels and tattoos; a mole shouldn't be lasered, since a melanoma might be missed. |
nevus | What was the outcome? | It came back as a melanoma. | diagnosis
nevus | Give me the bottom line. | Bottom line: melanoma. | diagnosis
nevus | Summary? | Summing up, a malignant tumour of the left leg. | finding, malignancy, side
nevus | What do we tell him? | Tell him it's a basal cell carcinoma. | diagnosis
nevus | What do we tell him? | That his mole is harmless. |
nevus | What do we tell him? | That his mole is malignant. | malignancy
nevus | Whose skin is it? | A woman's, in her sixties. | age, sex
nevus | Any idea of the age? | Somewhere in the sixties. | age
nevus | Any idea of the age? | Mid-forties, I'd guess. |
nevus | Size? | 1.8 cm across. | size
nevus | Size? | A good four millimetres. |
nevus | How does the rim look? | Ragged and notched. |
nevus | Is there ulceration? | Indeed, in the centre. | finding
nevus | Is there ulceration? | Not that I can see. | finding
nevus | Could I see it on my own arm? | A mole can be on any part of the body. |
nevus | Is the foot involved? | No, only the leg. |
nevus | Is the foot involved? | The foot is involved, too. | site
nevus | Which limb is it on? | On an arm, the right one. | side, site
nevus | Do you agree with melanoma? | I do. | diagnosis
nevus | Do you agree with melanoma? | I don't; it's a nevus. |
nevus | So we're looking at a melanoma? | Yes, we are. | diagnosis
nevus | Would you bet on melanoma? | No, on a nevus. |
nevus | Melanoma or nevus? | Nevus. |
nevus | Melanoma or nevus? | Melanoma, I'd say. | diagnosis
nevus | What is the chance of melanoma? | Low, but not nil. |
nevus | Is a second opinion wise? | Always. A second pair of eyes sees more. |
abnormal | Will the arm be stiff? | Joints stiffen in a cast; physiotherapy helps the wrist, elbow and fingers. |
abnormal | Which bones form the wrist? | The radius, the ulna and eight small carpal bones. |
abnormal | Which nerve is at risk? | The median nerve, which runs through the carpal tunnel of the wrist into the hand. |
abnormal | What do you think? | It's not normal: I see a screw through the bone. | finding
abnormal | What do you think? | Something is wrong with this wrist, though I can't name it. |
abnormal | Any hardware? | A plate and four screws. | finding
abnormal | How do I read such a film? | Follow the cortex of every bone, then the joints, then the soft tissues; look for breaks, swelling and foreign bodies. |
abnormal | Where is the problem? | In the elbow. | site
abnormal | How does rheumatoid arthritis show? | With narrow joint spaces and erosions, on both hands as a rule. |
abnormal | What is a Colles fracture? | A break of the radius near the wrist, with the hand tilted backwards. |
abnormal | Who breaks a hip? | Old people with osteoporosis, after a fall. |
normal | Did you find anything? | I found a fracture. | finding
normal | Did you find anything? | No, everything's in place. |
normal | Are you happy with it? | Yes, it's a normal wrist. |
normal | Are you happy with it? | No, it's an abnormal one. | normality
normal | Can he play tennis? | With a normal X-ray, yes, once the pain is gone. |
normal | And if it still hurts? | An occult fracture of the scaphoid may show after ten days; an MRI finds it at once. |
caption | Is the heart all right? | The image doesn't say. |
caption | Is the nodule big? | 3 cm; above that one speaks of a mass. |
caption | What are lungs made of? | Airways, vessels and air sacs; the right lung has three lobes, the left two. |
caption | How does CT work? | X-rays go round the body, and a computer builds slices. |
caption | Is MRI better than CT for lungs? | No. Air gives no signal on MRI, so CT is the choice for lungs. |
caption | What if the nodule grows? | Growth hints at cancer, and a PET scan or a biopsy follows. |
caption | Where do lung cancers spread to? | Brain, liver, bones and adrenal glands. |
caption | What can be said of the other lung? | The right lung is clear. |
caption | What can be said of the other lung? | It has a pneumothorax. | finding
caption | Is contrast dangerous? | Seldom; kidney disease and allergies are the main concerns. |
caption | How does a pneumothorax happen? | Air leaks from a burst bleb, often in tall young men, or after an injury to the chest. |
caption | Does she need a heart echo? | An echocardiogram is of no use for a nodule. |
caption | What is your reading? | A nodule on the left, no fluid. |
caption | What is your reading? | A thrombus in the pulmonary artery. | finding
caption | Why did they scan her? | Cough and weight loss are usual reasons. |
caption | Who is the patient? | A gentleman of 62. | sex
caption | Does smoking cause emphysema? | Yes, smoking is the main cause of emphysema. |
caption | What if it is cancer? | Then surgery, radiation or drugs, depending on the stage: small tumours are cut out, and large ones with metastases get drugs. |
"""
CASES = [tuple(part.strip() for part in line.split("|")) for line in SAID.strip().splitlines()]


@pytest.mark.parametrize(("row", "question", "answer", "expected"), CASES)
def test_what_is_said_in_passing_is_understood(row: str, question: str, answer: str, expected: str) -> None:
    name, metadata = ROWS[row]
    assert kinds(problems(name, metadata, [Turn(question=question, answer=answer)])) == expected
