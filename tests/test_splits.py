import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midefics.records import Role, Split
from midefics.splits import RELATED, Member, Plan, Remembered, Wanted, planned

SHARES: dict[Split, float] = {"train": 0.65, "validation": 0.1, "test": 0.25}
WANTED = Wanted(SHARES, {}, 7)
STRENGTH = {"train": 0, "validation": 1, "test": 2}


def member(number: int, *keys: str, role: Role = "train", source: str = "isic", label: str = "") -> Member:
    return Member(f"{source}/{number:04d}", source, role, label, keys)


def people(count: int, source: str = "isic", label: str = "") -> list[Member]:
    return [member(number, f"{source} patient {number}", source=source, label=label) for number in range(count)]


def memory(plan: Plan, members: Sequence[Member]) -> list[Remembered]:
    """What the next data set knows of this one."""
    keys = {one.id: one.keys for one in members}
    return [Remembered(name, place.split, keys[name]) for name, place in plan.places.items()] + plan.remembered


few_keys = st.lists(st.integers(0, 60).map(str), max_size=3).map(tuple)
members_of_two_sources = st.lists(
    st.tuples(st.sampled_from(["isic", "mura"]), st.sampled_from(["", "a", "b"]), few_keys, st.integers(0, 15)),
    min_size=1,
    max_size=120,
).map(
    lambda rows: [
        member(number, *keys, role="train" if lot else "evaluation", source=source, label=label)
        for number, (source, label, keys, lot) in enumerate(rows)
    ]
)
pairs = st.lists(st.tuples(st.integers(0, 119), st.integers(0, 119)), max_size=10)
mixtures = st.dictionaries(st.sampled_from(["isic", "mura"]), st.integers(1, 40))


def copies(members: Sequence[Member], found: Sequence[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(members[one].id, members[other].id) for one, other in found if max(one, other) < len(members)]


@given(members_of_two_sources, pairs, mixtures)
def test_every_image_once_and_nothing_related_in_two_splits(members, found, mixture):
    twins = copies(members, found)
    plan = planned(members, [], twins, WANTED._replace(mixture=mixture))
    assert not plan.places.keys() & plan.refused.keys()
    assert len(plan.places) + len(plan.refused) + plan.beyond_mixture == len(members)
    splits: dict[str, set[str]] = defaultdict(set)
    components: dict[str, set[str]] = defaultdict(set)
    for one in members:
        for key in one.keys if one.id in plan.places else ():
            splits[key].add(plan.places[one.id].split)
            components[key].add(plan.places[one.id].component)
    assert all(len(found) == 1 for found in (*splits.values(), *components.values()))
    for one, other in twins:
        if {one, other} <= plan.places.keys():
            assert plan.places[one] == plan.places[other]
    for one in members:
        if one.role == "evaluation":
            assert plan.places[one.id].split == "test"


@given(members_of_two_sources, pairs, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(members, found, chance):
    twins = copies(members, found)
    mixed, mixed_twins = list(members), [pair[::-1] for pair in twins]
    chance.shuffle(mixed)
    chance.shuffle(mixed_twins)
    assert planned(mixed, [], mixed_twins, WANTED) == planned(members, [], twins, WANTED)


@given(members_of_two_sources, pairs, st.lists(st.booleans(), min_size=120, max_size=120), mixtures)
def test_splits_only_ever_strengthen_as_data_come_and_go(members, found, drawn, mixture):
    wanted = WANTED._replace(mixture=mixture)
    some = [one for one, first in zip(members, drawn, strict=False) if first]
    before = planned(some, [], [], wanted)
    # the rest alone, as when an archive is late, then all of them
    rest = [one for one in members if one not in some]
    between = planned(rest, memory(before, some), [], wanted)
    after = planned(members, memory(between, members), copies(members, found), wanted)
    for earlier in (before, between):
        for name, place in earlier.places.items():
            if name in after.places:
                assert STRENGTH[after.places[name].split] >= STRENGTH[place.split]


@given(members_of_two_sources, pairs, st.lists(st.booleans(), min_size=120, max_size=120), mixtures)
def test_the_same_again_is_the_same(members, found, drawn, mixture):
    twins, wanted = copies(members, found), WANTED._replace(mixture=mixture)
    some = [one for one, first in zip(members, drawn, strict=False) if first]
    other_sources = [member(number, "0", source="roco") for number in range(5)]
    before = memory(planned(some + other_sources, [], [], wanted), some + other_sources)
    first = planned(members, before, twins, wanted)
    assert planned(members, memory(first, members), twins, wanted) == first


@settings(max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=150, max_size=400), st.integers(0, 2**32))
def test_shares_are_near_in_every_stratum(sizes, seed):
    chance = random.Random(seed)  # noqa: S311 (labels, no secrets)
    members = [
        member(number, f"patient {patient}", label=chance.choice(["benign", "malignant"]))
        for number, patient in enumerate(patient for patient, size in enumerate(sizes) for _ in range(size))
    ]
    plan = planned(members, [], [], WANTED._replace(seed=seed))
    for stratum in (members, *([one for one in members if one.label == label] for label in ("benign", "malignant"))):
        held = Counter(plan.places[one.id].split for one in stratum)
        for split, share in SHARES.items():
            assert abs(held[split] - share * len(stratum)) <= 8  # twice the largest patient


def test_ten_of_one_label_and_thirty_of_another_are_dealt_evenly():
    members = people(30, label="benign") + [
        member(100 + number, f"patient {number}", label="malignant") for number in range(10)
    ]
    wanted = WANTED._replace(shares={"train": 0.6, "validation": 0.2, "test": 0.2})
    plan = planned(members, [], [], wanted)
    held = Counter((one.label, plan.places[one.id].split) for one in members)
    assert held == {
        ("benign", "train"): 18,
        ("benign", "validation"): 6,
        ("benign", "test"): 6,
        ("malignant", "train"): 6,
        ("malignant", "validation"): 2,
        ("malignant", "test"): 2,
    }


def test_labels_that_occur_once_are_dealt_within_their_source():
    members = [member(number, label=f"label {number}") for number in range(100)]
    held = Counter(place.split for place in planned(members, [], [], WANTED).places.values())
    assert held == {"train": 65, "validation": 10, "test": 25}


def test_a_rare_label_of_several_patients_is_never_kept_from_training():
    rare = [member(200 + n, f"rare {n // 3}", label=f"label {n // 9}") for n in range(90)]
    for seed in range(20):
        places = planned(people(100, label="nevus") + rare, [], [], WANTED._replace(seed=seed)).places
        assert {one.label for one in rare if places[one.id].split == "train"} == {one.label for one in rare}


def test_a_component_goes_through_links_that_no_two_of_its_ends_share():
    chain = [member(0, "a"), member(1, "a", "b"), member(2, "b", "c"), member(3, "c"), member(4, "d")]
    places = planned(chain, [], [("isic/0003", "isic/0004")], WANTED).places
    assert len({place.component for place in places.values()}) == 1


def test_when_two_components_merge_test_wins_over_validation_over_train():
    members = [member(0, "a"), member(1, "b"), member(2, "c"), member(3, "d")]
    past = [
        Remembered("isic/0000", "train", ("a",)),
        Remembered("isic/0001", "test", ("b",)),
        Remembered("isic/0002", "train", ("c",)),
        Remembered("isic/0003", "validation", ("d",)),
    ]
    merged = [*members, member(4, "a", "b"), member(5, "c", "d")]
    places = planned(merged, past, [], WANTED).places
    assert [places[f"isic/{number:04d}"].split for number in range(6)] == [
        "test",
        "test",
        "validation",
        "validation",
        "test",
        "validation",
    ]


def test_a_patient_whose_image_is_gone_is_still_held_out():
    past = [Remembered("isic/0009", "test", ("patient",))]
    plan = planned([member(1, "patient")], past, [], WANTED)
    assert plan.places["isic/0001"].split == "test"
    assert plan.remembered == past
    later = planned([member(2, "patient")], memory(plan, [member(1, "patient")]), [], WANTED)
    assert later.places["isic/0002"].split == "test"


def test_what_is_related_to_an_evaluation_image_is_left_out():
    asked = member(0, "article", role="evaluation", source="vqa_rad")
    members = [asked, member(1, "article"), member(2, "article", "other"), member(3, "other"), *people(20, "mura")]
    plan = planned(members, [], [("vqa_rad/0000", "mura/0005")], WANTED)
    assert plan.refused == dict.fromkeys(["isic/0001", "isic/0002", "isic/0003", "mura/0005"], RELATED)


def test_a_refused_image_ties_others_together_and_keeps_its_reason():
    between = member(1, "a", "b")._replace(refused="licence CC BY-NC")
    asked = member(3, "b", role="evaluation")._replace(refused="licence CC BY-NC")
    plan = planned([member(0, "a"), between, member(2, "b"), asked], [], [], WANTED)
    assert plan.refused == {"isic/0001": "licence CC BY-NC", "isic/0003": "licence CC BY-NC"}
    assert plan.places["isic/0000"] == plan.places["isic/0002"]


def test_the_mixture_takes_those_of_before_first_and_never_evaluation_images():
    members = people(50) + [member(number, role="evaluation", source="vqa_rad") for number in range(9)]
    wanted = WANTED._replace(mixture={"isic": 20, "vqa_rad": 3})
    first = planned(members, [], [], wanted)
    assert Counter(name.split("/")[0] for name in first.places) == {"isic": 20, "vqa_rad": 9}
    assert first.beyond_mixture == 30
    more = people(500) + members[50:]
    assert planned(more, memory(first, members), [], wanted).places == first.places


@pytest.mark.parametrize("missing", [("validation",), ("validation", "test")])
def test_a_split_that_is_not_wanted_stays_empty(missing: tuple[Split, ...]):
    shares = {**SHARES, **dict.fromkeys(missing, 0.0)}
    shares["train"] = 1 - shares["validation"] - shares["test"]
    held = {place.split for place in planned(people(100), [], [], WANTED._replace(shares=shares)).places.values()}
    assert held == set(SHARES) - set(missing)
