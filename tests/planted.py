"""Captions with identifiers planted in them: written by hand, not taken from any archive or from the lists that are tested."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from phonenumbers import PhoneNumberFormat, PhoneNumberType, example_number_for_type, format_number

FULL_NAMES = (
    "John Smith", "Maria Gonzalez-Lopez", "Anna Kowalska", "Zhang Wei", "Nguyen Van Minh",
    "Chukwuemeka Okonkwo", "Fatima Al-Hassan", "Priya Venkataraman", "Lars Johansson", "Giulia Rossi",
    "Hans-Peter Müller", "Jean-Luc Moreau", "Siobhan O'Brien", "Yuki Tanaka", "Mohammed Rahman",
    "Olena Kovalenko", "Ahmet Yilmaz", "Björn Thorsson", "Thandiwe Nkosi", "José da Silva",
    "Ingrid van den Berg", "Kim Min-jun", "Dmitri Volkov", "Aoife Murphy", "Rajesh Kumar", "Emeka Nwosu",
    "Leila Haddad", "Tomasz Wiśniewski", "Eleni Papadopoulou", "Matthew Fitzgerald", "Grace Adeyemi",
    "Mark Turner", "Pedro Almeida", "Sven Lindqvist", "Ayşe Demir", "Ngozi Eze", "Carlos Mendoza Ruiz",
    "Katarzyna Nowak", "Wolfgang Bauer", "Chiara De Luca", "Pierre Lefebvre", "Hiroshi Nakamura",
    "Sunita Sharma", "Abebe Bekele", "Petra Svobodová", "Mihai Popescu", "István Nagy", "Kwame Mensah",
    "Noura Al Sayed", "Esther Goldberg", "William Brown", "Deborah White", "Robert Hill", "Susan Young",
    "Joy Green", "Angel Long", "Tuan Tran", "Li Na", "Park Ji-woo", "Isabella Costa",
)  # fmt: skip
"""The rules were tuned on these."""
OTHER_NAMES = (
    "Olga Petrova", "Henrik Madsen", "Aaliyah Johnson", "Sipho Dlamini", "Mei Lin Chen", "Gustavo Pereira",
    "Hannah Feldman", "Abdullah Al Qahtani", "Ruth Wanjiru", "Pavel Novotny", "Nikos Georgiou", "Zoltan Kiss",
    "Ewa Zielińska", "Marcus Thompson", "Latisha Washington", "Tomoko Saito", "Sanjay Patel", "Binh Pham",
    "Oluwaseun Adebayo", "Karim Benali", "Francesca Ricci", "Iñaki Etxeberria", "Jürgen Schneider",
    "Annelies de Vries", "Mikko Virtanen", "Rasmus Jensen", "Sinéad Byrne", "Gareth Llewellyn", "Arjun Reddy",
    "Farhad Hosseini", "Gulnara Akhmetova", "Tigran Petrosyan", "Nino Beridze", "Bogdan Ionescu",
    "Vesna Horvat", "Dragan Jovanović", "Tenzin Dorje", "Wayan Sutrisno", "Siti Rahayu", "Maria Clara Santos",
    "Héctor Fuentes", "Lucía Ramírez", "Jamal Robinson", "Chidinma Obi", "Yusuf Abdi", "Tadesse Alemu",
    "Amir Cohen", "Rivka Levy", "Eun-ji Choi", "Xiaoming Liu", "Hiroto Yamamoto", "Emily Clark", "Jacob Miller",
    "Brandon Lee", "Crystal Stone", "Faith Carter", "Pat Baker", "Chris Cooper", "Jo Wood", "Ed King",
)  # fmt: skip
"""On these they were not."""
FAMILY_NAMES = [name.split()[-1] for name in FULL_NAMES]
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "JP", "BR", "AU", "PL", "CH")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip

DATE_PLACES = (
    "CT of the abdomen performed on {} shows a 12 x 8 mm nodule in segment VI (arrow).",
    "Chest radiograph ({}) with right pleural effusion and Kerley B lines.",
    "Follow-up MRI, {}: T2 FLAIR hyperintensity, disc herniation at L5–S1 (Fig. 2a).",
    "Ultrasound of the left kidney dated {}. The cyst measures 3.4 cm.",
)
NAME_PLACES = (
    "{} presented with a mass in the left lobe (arrow).",
    "Sagittal MRI of {} shows a herniated disc at L4–L5.",
    "The patient {} was treated for Hodgkin lymphoma with 5 mg/kg.",
    "{}, a 54-year-old woman with Crohn disease of the terminal ileum.",
    "Doppler ultrasound of {}'s right kidney, Bosniak IIF.",
    "Axial CT, 45 Hounsfield units, reported by {}.",
)
TITLED_PLACES = (
    "Image courtesy of {}, University Hospital.",
    "Chest X-ray of {} shows a right-sided effusion.",
    "Gleason 3 + 4 = 7, biopsy read by {} and colleagues.",
    "{} was referred with an Ewing sarcoma of the femur.",
)
NUMBER_PLACES = (
    "{}: axial T1-weighted image after contrast.",
    "Panoramic radiograph of {} before surgery, tooth 36.",
    "Angiogram ({}), arrows A to C show the stenosis.",
    "A 45-year-old man ({}) with a 12 x 8 mm lesion.",
)
CONTACT_PLACES = (
    "Radiograph of the wrist; questions to {}.",
    "Mammogram, BI-RADS 4 ({}).",
    "Barium enema, see {} for the full series.",
    "Contact {} about this case of Baker's cyst.",
)


class Planted(NamedTuple):
    """A caption, and what must not survive in it."""

    kind: str
    caption: str
    secret: str
    """As it stands in the caption."""


def planted(count: int, seed: int = 0) -> Iterator[Planted]:
    """So many captions of every kind, always the same ones for a seed."""
    chance = random.Random(seed)  # noqa: S311 (captions, no secret)
    makers = {
        "dates": (_date, DATE_PLACES),
        "titled names": (_titled, TITLED_PLACES),
        "untitled names": (lambda c: c.choice(FULL_NAMES), NAME_PLACES),
        "record numbers": (_record, NUMBER_PLACES),
        "email addresses": (_email, CONTACT_PLACES),
        "phone numbers": (_phone, CONTACT_PLACES),
        "web addresses": (lambda c: c.choice(WEB), CONTACT_PLACES),
        "postal addresses": (lambda c: c.choice(POSTAL), CONTACT_PLACES),
        "social security numbers": (lambda c: f"{c.randint(100, 665)}-{c.randint(10, 99)}-{c.randint(1000, 9999)}", NUMBER_PLACES),
        "ages over 89": (_age, NUMBER_PLACES),
    }  # fmt: skip
    for kind, (make, places) in makers.items():
        for _ in range(count):
            secret = make(chance)
            yield Planted(kind, chance.choice(places).format(secret), secret)


WEB = (
    "https://radiopaedia.org/cases/12345", "http://www.hospital.example/patients?id=77", "www.dr-weber-praxis.de",
    "https://pacs.clinic.example/study/1.2.3/view",
)  # fmt: skip
POSTAL = (
    "221 Baker Street", "1600 Pennsylvania Avenue", "12 Old Mill Road, Springfield, IL 62704", "Hauptstraße 12",
    "Lindenstr. 4, 10969 Berlin", "14 rue de la Paix", "3 avenue des Champs", "Calle Mayor 45", "P.O. Box 1234", "Boston, MA 02115",
    "Oxford OX3 9DU", "7 St John's Road",
)  # fmt: skip


def _date(chance: random.Random) -> str:
    day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(1955, 2024)
    name = MONTHS[month - 1]
    return chance.choice(
        (
            f"{day} {name} {year}", f"{name} {day}, {year}", f"{name[:3]}. {day}, {year}", f"{day:02}-{name[:3]}-{year}",
            f"{year}-{month:02}-{day:02}", f"{day:02}/{month:02}/{year}", f"{month}/{day}/{year % 100:02}", f"{day}.{month}.{year}",
            f"{name} {year}", f"the {day}th of {name} {year}", f"{year}{month:02}{day:02}", f"{month:02}/{year}", f"{day} {name}",
            f"{day:02}.{month:02}.{year % 100:02}", f"{year}/{month}/{day}", f"{day} de marzo de {year}", f"le {day} août {year}",
            f"{day}. Februar {year}",
        )
    )  # fmt: skip


def _titled(chance: random.Random) -> str:
    title = chance.choice(
        ("Dr.", "Dr", "Prof.", "Mr.", "Mrs.", "Ms.", "Mr", "Mme", "Herr", "Frau", "Prof. Dr.", "Miss")
    )
    return f"{title} {chance.choice([*FULL_NAMES, *FAMILY_NAMES, 'J. R. Okafor', 'A. Rossi', 'E.M. Weiss'])}"


def _record(chance: random.Random) -> str:
    low, high = chance.randint(1, 40), chance.randint(10_000, 9_999_999)
    return chance.choice(
        (
            f"case {low}", f"Case #{low}", f"patient no. {high}", f"Patient {low}", f"MRN {high}", f"MRN: {high}", f"MRN#{high}",
            f"medical record number {high}", f"hospital no. {high}", f"accession number A{high}", f"study ID {high}", f"subject S-{low:03}",
            f"record no. {low}/{high}", f"pt. {low}", f"NHS number 943 476 {high % 9000 + 1000}", f"Patient ID: P{high}", f"file no {high}",
            f"ID {high}", f"cases {low} and {low + 1}", f"insurance number {high}", f"AB{high}", "1.2.840.113619.2.55.3.604688",
        )
    )  # fmt: skip


def _email(chance: random.Random) -> str:
    first, last = (
        chance.choice(("anna", "j", "md.rahman", "o_neil", "dr-weber", "k+xray")),
        chance.choice(("lee", "x", "bauer7")),
    )
    place = chance.choice(
        ("hospital.example", "uni-klinik.de", "nhs.net", "med.osaka-u.ac.jp", "clinic.local", "mail.co.uk")
    )
    return chance.choice(
        (f"{first}.{last}@{place}", f"{first}@{place}", f"{last}[at]{place}", f"{last.upper()}@{place}")
    )


def _phone(chance: random.Random) -> str:
    region = chance.choice(REGIONS)
    kind = chance.choice((PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE))
    number = example_number_for_type(region, kind)
    form = chance.choice((PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL, PhoneNumberFormat.E164))
    return chance.choice(("", "", "phone ", "tel. ")) + format_number(number, form)


def _age(chance: random.Random) -> str:
    age = chance.randint(90, 104)
    return chance.choice(
        (
            f"a {age}-year-old woman",
            f"aged {age}",
            f"{age} years old",
            f"{age} y/o man",
            f"{age}-yr-old",
            f"age: {age}",
            f"{age} yo",
        )
    )
