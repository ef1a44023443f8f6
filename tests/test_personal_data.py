import json
import logging
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Reply
from pydantic import SecretStr

from midefics.config import RunConfig
from midefics.personal_data import mask, without_personal_data
from midefics.records import Row, Turn
from midefics.services import Services
from midefics.stages import ingest, label, validate
from tests.planted import FULL_NAMES, NAME_PLACES, OTHER_NAMES, Planted, planted
from tests.rows import make_row, make_services, picture, stored

REAL = Path(__file__).parents[2] / "shared" / "data"
missing = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real archives in {REAL}; see shared/data/README.md")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("CT of 24 February 2009: normal.", "CT of [date]: normal."),
        ("Taken on December 2 2014, MRI May 2016.", "Taken on [date], MRI [date]."),
        ("X-ray 05-2013, 8/2013, 2009-3-31 and 20090331.", "X-ray [date], [date], [date] and [date]."),
        ("le 1er mars 2010, am 24. Februar 2009, 3 de mayo de 2011", "le [date], am [date], [date]"),
        ("2009-03-31T10:22:05Z, 31.03.09, 3/31/09, 24-FEB-2009", "[date], [date], [date], [date]"),
        ("Seen on 12 May, in March and on Oct 3.", "Seen on [date], in [date] and on [date]."),
        ("Images courtesy of Dr. Noam Harel, Minnesota.", "Images courtesy of Dr. [name], Minnesota."),
        ("Courtesy: Pr Olivier DUBOURG and Pr Dominique GERMAIN", "Courtesy: Pr [name] and Pr [name]"),
        ("Mme HK and Mr. Brown", "Mme [name] and Mr. [name]"),
        ("Prof. Dr. med. van den Berg's patient", "Prof. Dr. med. [name]'s patient"),
        ("Adapted from Feldstein et al. (2012)", "Adapted from [name] et al. (2012)"),
        ("(Photo: Elizabeth H. White)", "(Photo: [name])"),
        ("MRI of Maria Gonzalez-Lopez, SMITH^JOHN", "MRI of [name], [name]"),
        ("Nowak, Anna: axial view", "[name]: axial view"),
        ("Case 12. Patient no. 4711, pt. 3", "Case [number]. Patient no. [number], pt. [number]"),
        ("patient 2's kidney, cases 1 and 2", "patient [number]'s kidney, cases [number]"),
        ("MRN: 00-448291, ID 5, accession no A123", "MRN: [number], ID [number], accession no [number]"),
        ("SSN 219-09-9999, UID 1.2.840.113619.2.55.3.60", "SSN [number], UID [number]"),
        ("a.b+c@uni-klinik.de or lee[at]clinic.local", "[e-mail] or [e-mail]"),
        ("see https://radiopaedia.org/cases/12345.", "see [web address]."),
        ("+49 30 901820, (650) 253-0000, tel. 555-0199", "[phone], [phone], tel. [phone]"),
        ("12 Old Mill Road, Hauptstraße 12, 14 rue de la Paix", "[address], [address], [address]"),
        ("a 93-year-old man, aged 101, 92 ans", "a over 89-year-old man, aged over 89, over 89 ans"),
    ],
)
def test_what_leads_to_a_person_is_masked(text: str, masked: str) -> None:
    assert mask(text).text == masked


@pytest.mark.parametrize(
    "text",
    [
        "Ewing sarcoma with Codman triangle; Hodgkin lymphoma, Ann Arbor stage IIB; Crohn disease",
        "Kerley B lines, 45 Hounsfield units, color Doppler Image, Baker's cyst, Gleason 3 + 4 = 7",
        "Mallory Weiss tear; Budd Chiari syndrome; Guillain Barre; Von Hippel Lindau; Pierre Robin sequence",
        "Salter Harris II, Weber B, Schatzker type II, Garden III, Hill Sachs lesion, Charcot Marie Tooth disease",
        "Denis Browne splint; Austin Moore prosthesis; Swan Ganz catheter; Jackson Pratt drain; Kirschner wire",
        "Disc herniation at L5–S1 and T12, C5/6; in this case T2; patient pT4 N1; patient 3D",
        "12 x 8 mm, 10.3 cm, 2.5 Gy in 10 fractions, 5 mg/kg, 18F-FDG, 99mTc, SUV 12.4, p < 0.05, n = 24",
        "T2 FLAIR, TR/TE 2767/102 ms, b = 1000 s/mm2, HU 2000, 1.5 T, 120 kV, 2012 mm3",
        "Fig. 2a, Figure 1 (A) arrow, Figs 1-3, A. Coronal view. B. White arrow. Panel C",
        "A 45-year-old man, an 89-year-old woman, aged 95 days, 36 weeks",
        "The patient 4 years after surgery; patient 51 y.o.; in this case 5 cm; each patient 2 views; tooth number 21",
        "In 2009; grade 3/4; 10/12 patients; 20/20 vision; BI-RADS 4; ICD-10 C43.9; Ki-67; IDH1 R132H; NCT 3",
        "March fracture; which may 2 be; Stratus OCT 3; AS-OCT 2; MR Urography; DR Chest",
        "E. coli, S. Aureus, M. tuberculosis; St. Jude valve; Siemens Magnetom; General Electric; Red Arrows; Brain MRI",
        "Boy with Down syndrome; woman with Turner syndrome; patient Harris hip score 80; child Pugh B",
        "TBP tile: close-up; anterior torso; Melanoma Invasive; Nevus, NOS; Paris, France",
        "Radiographie: fracture de la tête humérale droite après injection",
        "",
    ],
)
def test_findings_stay(text: str) -> None:
    assert mask(text) == (text, Counter(), frozenset())


def test_years_go_only_where_asked() -> None:
    text = "In 2009 and (1998), TR 2000 ms, 2012 mm3, 1 of 2000 patients; May 2016."
    assert mask(text).text == text.replace("May 2016", "[date]")
    assert mask(text, years=True).text == "In [year] and ([year]), TR 2000 ms, 2012 mm3, 1 of 2000 patients; [date]."


def test_planted_identifiers_are_found_and_nothing_else() -> None:
    asked, missed, found = Counter[str](), defaultdict[str, list[str]](list), Counter[str]()
    for one in planted(120):
        asked[one.kind] += 1
        found += mask(one.caption).found
        if _survives(one):
            missed[one.kind].append(one.caption)
    recall = {kind: 1 - len(missed[kind]) / count for kind, count in asked.items()}
    assert {kind: share for kind, share in recall.items() if share < 0.98 and kind != "untitled names"} == {}
    assert recall["untitled names"] > 0.9, missed["untitled names"]
    names = asked["titled names"] + asked["untitled names"]
    assert found["names"] <= names
    assert all(found[kind] <= count for kind, count in asked.items() if not kind.endswith("titled names")), found


MARKS = re.compile(r"\[[a-z -]+\]|over 89")
SAID = frozenset(
    re.findall(
        r"\w+",
        "Dr Prof Mr Mrs Ms Mme Herr Frau Miss tel phone the of le de and case Case cases Patient patient no ID MRN medical record number "
        "hospital accession study subject pt NHS file insurance aged age year years yr yo old man woman",
    )
)
"""Words round an identifier that may stay."""


def _survives(one: Planted) -> bool:
    """Whether a word or number of the secret is still there."""
    secret = set(re.findall(r"[^\W_]{2,}", one.secret)) - SAID
    around = set(re.findall(r"[^\W_]{2,}", one.caption.replace(one.secret, "", 1)))
    return bool((secret - around) & set(re.findall(r"[^\W_]{2,}", MARKS.sub("", mask(one.caption).text))))


def test_most_names_are_found_that_the_rules_were_not_made_for() -> None:
    shares = [
        sum(name not in mask(place.format(name)).text for name in names for place in NAME_PLACES) / len(names) / 6
        for names in (FULL_NAMES, OTHER_NAMES)
    ]
    assert min(shares) > 0.85, shares


@given(st.lists(st.sampled_from([one.caption for one in planted(3)]) | st.text(max_size=30), max_size=4))
@settings(deadline=None, max_examples=60)
def test_a_second_pass_changes_nothing(texts: list[str]) -> None:
    once = mask(" ".join(texts))
    assert mask(once.text) == (once.text, Counter(), frozenset())


@pytest.mark.parametrize("piece", ["A.", "A-", "1.", "1 ", "(1", "a@a.", "Dr A ", "John Smith ", "A^", "12 Jan "])
def test_a_hostile_text_takes_time_in_proportion(piece: str) -> None:
    once = mask(piece * 10_000).text  # minutes, were it the square
    assert mask(once).text == once


def test_a_row_is_masked_in_all_its_texts_and_the_same_every_time() -> None:
    row = make_row(
        metadata={
            "caption": "CT of case 3, by Dr. Noam Harel.",
            "keywords": "noam harel dr ct",
            "radiology": True,
            "age_approx": 95,
            "mel_thick_mm": 95,
            "diagnosis": None,
            "stage": "III",
        },
        turns=(Turn(question="Who is Harel?", answer="A man, seen on 3 May 2011."),),
    )
    found: Counter[str] = Counter()
    masked = without_personal_data(row, found)
    assert masked.metadata == {
        "caption": "CT of case [number], by Dr. [name].",
        "keywords": "[name] [name] dr ct",
        "radiology": True,
        "age_approx": 90,
        "mel_thick_mm": 95,
        "diagnosis": None,
        "stage": "III",
    }
    assert masked.turns == (Turn(question="Who is [name]?", answer="A man, seen on [date]."),)
    assert found == {"names": 4, "dates": 1, "record numbers": 1, "ages over 89": 1}
    assert masked.attribution == row.attribution
    assert without_personal_data(row, Counter()) == masked
    assert without_personal_data(masked, Counter()) == masked


@missing
def test_real_captions_lose_what_was_counted_by_hand() -> None:
    """Every hit was read: of the names 4 are no person's (a publisher, a hospital, a university, a product)."""
    lines = (REAL / "roco/data/test/radiology/captions.txt").read_text(encoding="utf-8").splitlines()
    found: Counter[str] = Counter()
    for line in lines:
        found += mask(line.partition("\t")[2]).found
    assert found == {"dates": 34, "names": 29, "record numbers": 92, "web addresses": 7, "ages over 89": 1}


@missing
def test_real_questions_and_answers_lose_nothing() -> None:
    questions = json.loads((REAL / "vqa_rad/data_RAD/trainset.json").read_text(encoding="utf-8"))
    texts = [str(one[part]) for one in questions for part in ("question", "answer")]
    assert [text for text in texts if mask(text).found] == []


SECRETS = ("Harel", "harel", "4711042", "24 February 2009", "noam.harel", "901820", "93-year", "Mill Road")
CAPTION = (
    "Axial CT of the chest, 24 February 2009, of patient no. 4711042, a 93-year-old man of 12 Old Mill Road, by Dr. Noam Harel "
    "(noam.harel@clinic.example, +49 30 901820)."
)


def roco(root: Path) -> Path:
    """ROCO's official layout with two captions, one of them full of identifiers."""
    folder = root / "data" / "train" / "radiology"
    (folder / "images").mkdir(parents=True)
    for number in (1, 2):
        (folder / "images" / f"ROCO_0000{number}.jpg").write_bytes(picture(number, (400, 400)))
    (folder / "captions.txt").write_text(
        f"ROCO_00001\t {CAPTION}\nROCO_00002\t Sagittal MRI with disc herniation at L5–S1.\n"
    )
    (folder / "keywords.txt").write_text("ROCO_00001\tct\tharel\tchest\n")
    return root


def config(**limits: Any) -> RunConfig:
    content = {"name": "tried", "base_model": "tiny-idefics", "sources": {"roco": {"path": "roco"}}, "validate": limits}
    return RunConfig.model_validate(content)


def test_neither_the_model_nor_any_record_of_the_run_sees_an_identifier(
    tmp_path: Path, llmock: LLMock, caplog: pytest.LogCaptureFixture
) -> None:
    roco(tmp_path / "roco")
    turns = [{"question": f"What is it, {number}?", "answer": "It is a scan."} for number in range(4)]
    llmock.add(Reply(text=json.dumps({"turns": turns}), times=None))
    services = make_services(tmp_path, openai_base_url=llmock.base_url(), openai_api_key=SecretStr("sk-test"))
    with caplog.at_level(logging.DEBUG, logger="midefics"):
        images = ingest.run(config(), services=services)
        validated = validate.run(config(), images, services=services)
        labelled = label.run(config(), validated, services=services)
    sent = "".join(json.dumps(request.body, ensure_ascii=False) for request in llmock.requests if request.body)
    assert (
        "Axial CT of the chest, [date], of patient no. [number], a over 89-year-old man of [address], by Dr. [name]"
        in sent
    )
    assert "disc herniation at L5–S1" in sent
    rows = "".join(repr(row.metadata) + repr(row.turns) for row in services.storage.rows(labelled))
    assert leaks(sent + rows + caplog.text + repr(validated)) == []
    assert [path for path in files(tmp_path) if leaks(path.read_bytes().decode(errors="ignore"))] == []
    counted = {name: count for name, count in validated.facts.items() if name.startswith("masked_")}
    assert counted == {
        "masked_dates": 1,
        "masked_names": 2,
        "masked_record_numbers": 1,
        "masked_email_addresses": 1,
        "masked_phone_numbers": 1,
        "masked_postal_addresses": 1,
        "masked_ages_over_89": 1,
    }


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def files(home: Path) -> list[Path]:
    """All that a run writes, but the archive itself and ingest's copy of it; compressed parts are read as rows."""
    mine = (path for path in home.rglob("*") if path.is_file() and path.suffix != ".parquet")
    return [path for path in mine if path.relative_to(home).parts[:1] != ("roco",)]


def outcome(services: Services, rows: list[Row], **limits: Any) -> tuple[list[Row], dict[str, str]]:
    manifest = validate.run(config(**limits), stored(services, "images", rows), services=services)
    return list(services.storage.rows(manifest)), {one.id: one.reason for one in services.storage.rejected(manifest)}


def test_a_row_with_personal_data_is_put_in_quarantine_or_let_through_as_configured(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    telling = make_row(9, metadata={"diagnosis": "nevus", "note": "seen by Dr. Noam Harel"})
    rows = [*(make_row(number) for number in range(4)), telling]
    passed, rejected = outcome(services, rows, personal_data="quarantine")
    assert (passed, rejected) == (rows[:4], {telling.id: "personal data"})
    assert [path for path in files(tmp_path) if leaks(path.read_text(errors="ignore"))] == []
    assert outcome(services, rows, personal_data="off") == (rows, {})
    passed, rejected = outcome(services, rows)
    assert rejected == {}
    assert passed[4].metadata == {"diagnosis": "nevus", "note": "seen by Dr. [name]"}
    assert outcome(services, [make_row(5, metadata={"note": "In 2009."})], mask_years=True)[0][0].metadata == {
        "note": "In [year]."
    }
