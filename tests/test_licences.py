import pytest
from hypothesis import given
from hypothesis import strategies as st

from midefics.licences import MURA, Licence, licence, together

WRITTEN = {
    # what archives write: name, SPDX id, commercial, derivatives, share alike, redistribution
    "CC-0": ("CC0 1.0", "CC0-1.0", True, True, False, True),
    "CC0": ("CC0 1.0", "CC0-1.0", True, True, False, True),
    "CC0-1.0": ("CC0 1.0", "CC0-1.0", True, True, False, True),
    "cc0 1.0 Universal": ("CC0 1.0", "CC0-1.0", True, True, False, True),
    "https://creativecommons.org/publicdomain/zero/1.0/": ("CC0 1.0", "CC0-1.0", True, True, False, True),
    "CC BY": ("CC BY", None, True, True, False, True),
    "CC-BY": ("CC BY", None, True, True, False, True),
    "cc-by-4.0": ("CC BY 4.0", "CC-BY-4.0", True, True, False, True),
    "CC BY 4.0 International": ("CC BY 4.0", "CC-BY-4.0", True, True, False, True),
    "CC BY 7.0": ("CC BY 7.0", None, True, True, False, True),
    "CC BY-SA": ("CC BY-SA", None, True, True, True, True),
    "CC-BY-NC": ("CC BY-NC", None, False, True, False, True),
    "https://creativecommons.org/licenses/by-nc/4.0/": ("CC BY-NC 4.0", "CC-BY-NC-4.0", False, True, False, True),
    "CC BY-NC-SA": ("CC BY-NC-SA", None, False, True, True, True),
    "CC BY-ND": ("CC BY-ND", None, True, False, False, True),
    "CC BY-NC-ND": ("CC BY-NC-ND", None, False, False, False, True),
    "NO-CC CODE": ("not stated", None, False, False, False, False),
    "not stated": ("not stated", None, False, False, False, False),
    "": ("not stated", None, False, False, False, False),
    "MURA research use agreement": (MURA.name, None, False, False, False, False),
    "CC BY-ND-SA": ("CC BY-ND-SA", None, False, False, False, False),
    "CC BY or later": ("CC BY or later", None, False, False, False, False),
    "ask the  hospital": ("ask the hospital", None, False, False, False, False),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_what_archives_write_is_understood(text: str) -> None:
    one = licence(text)
    allowed = one.commercial, one.derivatives, one.share_alike, one.redistribution
    assert (one.name, one.spdx, *allowed) == WRITTEN[text]


@pytest.mark.parametrize(
    ("text", "research", "commercial"),
    [
        ("CC BY", True, True),
        ("CC BY-ND", True, True),
        ("CC BY-NC", True, False),
        (MURA.name, True, False),
        ("NO-CC CODE", False, False),
        ("ask the hospital", False, False),
    ],
)
def test_uses(text: str, research: bool, commercial: bool) -> None:
    one = licence(text)
    assert (one.allows("any"), one.allows("research"), one.allows("commercial")) == (True, research, commercial)


@pytest.mark.parametrize(
    ("texts", "name", "hub_id"),
    [
        (["CC0", "CC-0"], "CC0 1.0", "cc0-1.0"),
        (["CC0", "cc-by-4.0"], "CC BY 4.0", "cc-by-4.0"),
        (["CC BY 3.0", "CC BY 4.0"], "CC BY", "other"),
        (["CC BY", "CC BY 4.0"], "CC BY", "other"),
        (["CC BY", "CC BY-NC"], "CC BY-NC", "other"),
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], "several licences, together: attribution, non-commercial, share alike", "other"),
        (["CC0", MURA.name], MURA.name, "other"),
        (["NO-CC CODE", MURA.name],
         "several licences, together: attribution, no derivatives, no redistribution, non-commercial", "other"),
    ],
)  # fmt: skip
def test_a_collection_has_the_strictest_licence(texts: list[str], name: str, hub_id: str) -> None:
    whole = together([licence(text) for text in texts])
    assert (whole.name, whole.hub_id) == (name, hub_id)


@given(st.lists(st.sampled_from(sorted(WRITTEN)), min_size=1))
def test_a_collection_never_allows_more_than_any_of_its_pictures(texts: list[str]) -> None:
    parts = [licence(text) for text in texts]
    whole = together(parts)
    assert whole.restrictions == frozenset[str]().union(*(one.restrictions for one in parts))
    for use in ("research", "commercial"):
        assert whole.allows(use) == all(one.allows(use) for one in parts)


@given(st.text())
def test_what_is_not_understood_allows_nothing(text: str) -> None:
    one = licence(text)
    assert isinstance(one, Licence)
    assert one.known or not (one.commercial or one.redistribution)
