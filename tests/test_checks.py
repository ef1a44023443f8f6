import pytest

from midefics.config import ValidateConfig
from midefics.errors import ConfigError
from midefics.services.expectations import Check
from midefics.stages.checks import SOURCE_CHECKS, common_checks, suites


def checks(source: str, **changes: dict[str, object]) -> dict[str, Check]:
    limits = ValidateConfig.model_validate({"checks": changes})
    return {check.reason: check for check in suites(limits)(source)}


def test_a_check_is_changed_by_its_reason_however_it_is_joined() -> None:
    found = checks("isic", blank_image={"action": "warn"}, **{"near-duplicate image": {"action": "quarantine"}})
    assert (found["blank image"].action, found["blank image"].max_share) == ("warn", None)
    assert found["near-duplicate image"].action == "quarantine"
    assert found["image too small"].action == "quarantine"


@pytest.mark.parametrize(
    ("change", "action", "max_share"),
    [
        ({"action": "fail"}, "fail", 0.0),
        ({"action": "fail", "max_share": 0.1}, "fail", 0.1),
        ({"action": "warn", "max_share": 0.5}, "warn", 0.5),
        ({"max_share": 0.2}, "quarantine", 0.2),
    ],
)
def test_an_action_and_a_share_mean_what_they_say(change: dict[str, object], action: str, max_share: float) -> None:
    check = checks("isic", blank_image=change)["blank image"]
    assert (check.action, check.max_share) == (action, max_share)


def test_a_check_of_another_source_may_be_named_and_one_of_none_is_refused_with_the_list() -> None:
    assert "caption too short" not in checks("isic", caption_too_short={"action": "warn"})
    with pytest.raises(
        ConfigError,
        match=r"validate.checks.blak image: no such check; there are blank image, burned-in annotation, caption",
    ):
        checks("isic", **{"blak image": {"action": "warn"}})


def test_a_source_without_checks_of_its_own_has_the_common_ones() -> None:
    assert list(checks("a_new_one")) == [check.reason for check in common_checks(ValidateConfig())]


def test_every_reason_of_a_source_is_there_once_and_explained() -> None:
    for source in SOURCE_CHECKS:
        suite = suites(ValidateConfig())(source)
        assert len({check.reason for check in suite}) == len(suite)
        assert all(check.note.endswith(".") for check in suite)
