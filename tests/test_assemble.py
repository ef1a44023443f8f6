from pathlib import Path

import pytest

from midefics.config import load_config
from midefics.errors import DataError
from midefics.records import Row
from midefics.stages import assemble
from tests.rows import make_row, make_services, stored


def rows(source: str, groups: int, each: int = 3) -> list[Row]:
    return [
        make_row(id=f"{source}/{group:03d}-{n}", source=source, group=f"{source}{group}")
        for group in range(groups)
        for n in range(each)
    ]


def test_no_group_is_in_two_splits(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    manifest = assemble.run(
        load_config("demo"),
        stored(services, "conversations", rows("isic", 60)),
        stored(services, "conversations", rows("mura", 60)),
        services=services,
    )
    splits: dict[str, set[str | None]] = {}
    for row in services.storage.rows(manifest):
        splits.setdefault(row.group, set()).add(row.split)
    assert len(splits) == 120
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == {"train", "validation", "test"}


def test_a_new_row_never_moves_an_old_one(tmp_path: Path) -> None:
    services, config = make_services(tmp_path), load_config("demo")
    few = assemble.run(config, stored(services, "conversations", rows("isic", 60)), services=services)
    more = assemble.run(config, stored(services, "conversations", rows("isic", 80)), services=services)
    before = {row.id: row.split for row in services.storage.rows(few)}
    after = {row.id: row.split for row in services.storage.rows(more)}
    assert before.items() <= after.items()


def test_order_of_the_inputs_does_not_matter(tmp_path: Path) -> None:
    services, config = make_services(tmp_path), load_config("demo")
    one, other = (
        stored(services, "conversations", rows("isic", 30)),
        stored(services, "conversations", rows("mura", 30)),
    )
    assert (
        assemble.run(config, one, other, services=services).digest
        == assemble.run(config, other, one, services=services).digest
    )


def test_evaluation_rows_are_only_held_out(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    asked = [make_row(id=f"vqa_rad/{n:03d}", source="vqa_rad", role="evaluation", group=f"v{n}") for n in range(40)]
    manifest = assemble.run(
        load_config("demo"),
        stored(services, "conversations", rows("isic", 60)),
        stored(services, "conversations", asked),
        services=services,
    )
    assert {row.split for row in services.storage.rows(manifest) if row.source == "vqa_rad"} == {"test"}


def test_the_same_image_twice_is_refused(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    one, other = (
        stored(services, "conversations", rows("isic", 30)),
        stored(services, "conversations", rows("isic", 31)),
    )
    with pytest.raises(DataError, match="isic/000-0 comes twice"):
        assemble.run(load_config("demo"), one, other, services=services)


def test_an_empty_split_is_refused_with_the_way_out(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    with pytest.raises(DataError, match=r"no row fell into .*assemble.test_share"):
        assemble.run(load_config("demo"), stored(services, "conversations", rows("isic", 1)), services=services)
