import csv
import hashlib
import json
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from midefics.config import RunConfig, load_config
from midefics.errors import ConfigError, DataError
from midefics.pictures import perceptual_hash
from midefics.records import Case, Manifest, Row
from midefics.services import Services
from midefics.sources import source
from midefics.stages import assemble, run_stage
from tests.rows import encoded, make_row, make_services, picture, stored


def far_hash(number: object) -> str:
    """A perceptual hash that is near no other."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:16]


def rows(name: str, groups: int, each: int = 3, first: int = 0) -> list[Row]:
    """Rows of as many patients, all with pictures of their own, from `first` on."""
    start = {"isic": 0, "mura": 10_000, "vqa_rad": 20_000, "roco": 30_000}[name]
    return [
        make_row(
            start + each * group + n,
            id=f"{name}/{group:03d}-{n}",
            source=name,
            group=f"{name}{group}",
            phash=far_hash(start + each * group + n),
        )
        for group in range(first, first + groups)
        for n in range(each)
    ]


def shots(image: Image.Image) -> tuple[bytes, str]:
    return encoded(image), perceptual_hash(image)


def assembled(services: Services, *inputs: list[Row], **values: str) -> Manifest:
    """As the command line does it: the data set becomes the newest of its configuration."""
    config = demo(**values)
    return run_stage("assemble", config, [stored(services, "conversations", found) for found in inputs], services)


def demo(**values: str) -> RunConfig:
    return load_config("demo", None, {f"assemble.{key}": value for key, value in values.items()})


def splits(services: Services, manifest: Manifest) -> dict[str, str | None]:
    return {row.id: row.split for row in services.storage.rows(manifest)}


def test_no_group_is_in_two_splits(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    manifest = assembled(services, rows("isic", 60), rows("mura", 60))
    found: dict[str, set[str | None]] = {}
    for row in services.storage.rows(manifest):
        found.setdefault(row.group, set()).add(row.split)
    assert len(found) == 120 == manifest.facts["components"]
    assert all(len(splits) == 1 for splits in found.values())
    sizes = Counter(splits(services, manifest).values())
    assert sizes == {"train": 234, "validation": 36, "test": 90}
    assert {f"{split}_rows": sizes[split] for split in sizes}.items() <= manifest.facts.items()


def test_a_new_row_never_moves_an_old_one(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    few = assembled(services, rows("isic", 60))
    more = assembled(services, rows("isic", 80))
    assert splits(services, few).items() <= splits(services, more).items()
    assert few.digest in more.parents


def test_order_of_the_inputs_does_not_matter(tmp_path: Path) -> None:
    services, config = make_services(tmp_path), load_config("demo")
    one, other = (stored(services, "conversations", rows(name, 30)) for name in ("isic", "mura"))
    first = assemble.run(config, one, other, services=services)
    assert assemble.run(config, other, one, services=services).digest == first.digest


def test_the_same_again_publishes_nothing_and_keeps_its_lineage(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    assembled(services, rows("isic", 60))
    second = assembled(services, rows("isic", 80))
    kept = services.storage.folder(second) / "manifest.json"
    before = kept.read_bytes()
    assert assembled(services, rows("isic", 80)) == second
    assert kept.read_bytes() == before
    assert len(list((services.storage.folder(second)).parent.iterdir())) == 2


def test_fewer_inputs_make_another_data_set(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    inputs = [rows(name, 60) for name in ("isic", "mura", "roco")]
    whole = assembled(services, *inputs)
    for left_out in range(3):
        kept = [one for place, one in enumerate(inputs) if place != left_out]
        assert assembled(services, *kept).rows == whole.rows * 2 // 3


def test_what_an_archive_adds_beyond_the_mixture_changes_nothing(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    first = assembled(services, rows("isic", 60), **{"mixture.isic": "90"})
    assert (first.rows, first.facts["beyond_mixture"]) == (90, 90)
    assert assembled(services, rows("isic", 70), **{"mixture.isic": "90"}).digest == first.digest


def test_a_source_that_is_late_comes_back_to_its_splits(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    both = assembled(services, rows("isic", 40), rows("mura", 40))
    alone = assembled(services, rows("isic", 40))
    assert alone.rows == 120
    again = assembled(services, rows("isic", 40), rows("mura", 40))
    assert splits(services, again) == splits(services, both)
    assert again.digest == both.digest


def test_a_data_set_to_extend_can_be_named_or_none(tmp_path: Path) -> None:
    services, config = make_services(tmp_path), load_config("demo")
    first = assembled(services, rows("isic", 60))
    found = stored(services, "conversations", rows("isic", 90))
    anew = assemble.run(config, found, services=services, extends=assemble.NOTHING)
    named = assemble.run(config, found, services=services, extends=first.uri)
    assert splits(services, first).items() <= splits(services, named).items()
    assert first.digest not in anew.parents
    assert not splits(services, first).items() <= splits(services, anew).items()
    with pytest.raises(DataError, match="is of kind conversations"):
        assemble.run(config, found, services=services, extends=found.uri)


def test_a_data_set_that_is_gone_is_not_forgotten_silently(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    first = assembled(services, rows("isic", 60))
    (services.storage.folder(first) / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"test images may come into training.*--fresh"):
        assembled(services, rows("isic", 60))


def test_one_shot_saved_twice_is_in_one_split(tmp_path: Path) -> None:
    services, found = make_services(tmp_path), rows("isic", 60, each=1)
    for number in range(0, 60, 2):
        image = Image.open(BytesIO(picture(number, (12, 9)))).resize((240, 180), Image.Resampling.BICUBIC)
        for place, shot in ((number, image), (number + 1, image.resize((120, 90)))):
            content, phash = shots(shot)
            found[place] = found[place].model_copy(update={"image": content, "phash": phash})
    manifest = assembled(services, found)
    groups = [row.group for row in services.storage.rows(manifest)]
    assert manifest.facts["copies"] == 30
    assert groups[::2] == groups[1::2]
    assert len(set(groups)) == 30


def test_evaluation_rows_are_only_held_out_and_what_is_related_is_left_out(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    asked = [row.model_copy(update={"role": "evaluation"}) for row in rows("vqa_rad", 40, each=1)]
    seen_before = rows("isic", 1, first=60)
    seen_before[0] = seen_before[0].model_copy(update={"image": asked[5].image, "phash": asked[5].phash})
    manifest = assembled(services, rows("isic", 60) + seen_before, asked)
    found = splits(services, manifest)
    assert {found[row.id] for row in asked} == {"test"}
    assert not found.keys() & {row.id for row in seen_before}
    assert manifest.rejected == {"related to evaluation set": 3}
    assert [one.id for one in services.storage.rejected(manifest)] == [row.id for row in seen_before]


@pytest.mark.parametrize(
    ("use", "kept", "rejected"),
    [
        ("any", {"CC-0", "CC-BY-NC", "MURA research use agreement", "NO-CC CODE"}, {}),
        ("research", {"CC-0", "CC-BY-NC", "MURA research use agreement"}, {"licence not known": 45}),
        (
            "commercial",
            {"CC-0"},
            {"licence not known": 45, "licence CC BY-NC": 45, "licence MURA research use agreement": 45},
        ),
    ],
)
def test_images_whose_licence_does_not_allow_the_use_go_to_quarantine(
    tmp_path: Path, use: str, kept: set[str], rejected: dict[str, int]
) -> None:
    licences = ("CC-0", "CC-BY-NC", "MURA research use agreement", "NO-CC CODE")
    found = [row.model_copy(update={"licence": licences[int(row.group[4:]) % 4]}) for row in rows("isic", 60)]
    services = make_services(tmp_path)
    manifest = assembled(services, found, use=use)
    assert {row.licence for row in services.storage.rows(manifest)} == kept
    assert manifest.rejected == rejected
    assert manifest.rows + sum(rejected.values()) == 180


def test_papers_and_card_say_what_holds(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    found = [*rows("isic", 30), *(row.model_copy(update={"licence": "CC BY-NC-ND"}) for row in rows("isic", 10, 3, 30))]
    found[0] = found[0].model_copy(update={"attribution": '=HYPERLINK("http://evil","x")'})
    bones = [row.model_copy(update={"licence": "MURA research use agreement"}) for row in rows("mura", 20)]
    manifest = assembled(services, found, bones)
    folder = services.storage.folder(manifest)
    with (folder / "ATTRIBUTION.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 180
    assert table[0]["attribution"] == '\'=HYPERLINK("http://evil","x")'
    bill = json.loads((folder / "LICENCES.json").read_text())
    counted = {(part["source"], part["name"]): part["images"] for part in bill["parts"]}
    assert counted == {
        ("isic", "CC0 1.0"): 90,
        ("isic", "CC BY-NC-ND"): 30,
        ("mura", "MURA research use agreement"): 60,
    }
    assert not bill["licence"]["redistribution"]
    assert not bill["licence"]["commercial"]
    assert manifest.facts["licence"] == "MURA research use agreement"
    card = (folder / "README.md").read_text()
    assert "license: other" in card
    assert "**Not for redistribution**: 60 images" in card
    assert "30 images are under a licence without derivatives" in card
    assert "90 images are not for commercial use" in card


def test_datasets_opens_the_folder(tmp_path: Path) -> None:
    import datasets
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    services = make_services(tmp_path)
    manifest = assembled(services, rows("isic", 60))
    folder = services.storage.folder(manifest)
    for part in folder.glob("part-*.parquet"):  # where storage does not name parts after their splits
        table = pq.read_table(part)
        for split in ("train", "validation", "test"):
            pq.write_table(table.filter(pc.field("split") == split), folder / part.name.replace("part", split))
        part.unlink()
    opened = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(opened[split]) for split in opened} == {"train": 117, "validation": 18, "test": 45}
    assert opened["train"][0]["image"].size == (64, 48)
    assert {row["split"] for row in opened["test"]} == {"test"}


def test_every_source_of_the_drawn_archives_has_its_share_of_every_split(tmp_path: Path) -> None:
    from midefics.sources import synthetic

    services, config = make_services(tmp_path), load_config("demo")
    found = []
    for name in ("isic", "mura", "roco"):
        synthetic.draw(name, tmp_path / name, 60, 0)
        cases = [case for case in source(name).cases(tmp_path / name) if isinstance(case, Case)]
        found += [
            make_row(number, id=case.id, source=name, group=f"{name} {case.group}", links=case.links,
                     metadata=case.metadata, phash=far_hash(case.id))
            for number, case in enumerate(cases)
        ]  # fmt: skip
    manifest = assemble.run(config, stored(services, "conversations", found), services=services)
    sizes = Counter((row.source, row.split) for row in services.storage.rows(manifest))
    for name in ("isic", "mura", "roco"):
        total = sum(sizes[name, split] for split in ("train", "validation", "test"))
        assert 0.04 < sizes[name, "validation"] / total < 0.16
        assert 0.15 < sizes[name, "test"] / total < 0.35


def test_the_same_image_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="isic/000-0 comes twice"):
        assembled(make_services(tmp_path), rows("isic", 30), rows("isic", 31))


def test_an_empty_split_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row fell into .*assemble.test_share.*--fresh"):
        assembled(make_services(tmp_path), rows("isic", 1))


def test_a_mixture_of_what_is_no_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"assemble.mixture.hospital: not one of the sources"):
        demo(**{"mixture.hospital": "3"})
