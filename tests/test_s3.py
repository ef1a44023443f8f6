"""What only a bucket does: uploads that break, pages of a listing, refusals, copies on this machine."""

import json
from pathlib import Path

import boto3
import pytest

from midefics.errors import MideficsError, StorageError, UnreachableError
from midefics.records import Manifest
from midefics.services.s3 import MIB, Bucket
from midefics.services.s3_store import S3Store
from midefics.services.storage import Storage
from tests.cutting_proxy import CuttingProxy
from tests.rows import make_row

WEIGHTS = 20 * MIB
"""Three parts of at most 8 MiB."""


def store(location: str, home: Path) -> tuple[Storage, Bucket]:
    kept = S3Store(location, home / "cache")
    return Storage(kept), kept.bucket


def with_weights(storage: Storage, byte: bytes = b"x") -> Manifest:
    with storage.draft("adapter") as draft:
        (draft.path / "weights.bin").write_bytes(byte * WEIGHTS)
    return draft.manifest


def test_an_upload_whose_connection_is_cut_is_completed(
    s3: str, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CuttingProxy(s3_endpoint, after=3 * MIB, cuts=2) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        manifest = with_weights(store(s3, tmp_path / "one")[0])
    assert proxy.done == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    storage, bucket = store(s3, tmp_path / "other")
    assert (storage.folder(manifest) / "weights.bin").stat().st_size == WEIGHTS
    assert list(bucket.uploads()) == []


def test_an_upload_that_is_cut_every_time_leaves_no_manifest(
    s3: str, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    with CuttingProxy(s3_endpoint, after=3 * MIB, cuts=1000) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        with pytest.raises(UnreachableError, match="does not answer"):
            with_weights(store(s3, tmp_path)[0])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    storage, bucket = store(s3, tmp_path)
    assert list(storage.outputs()) == []
    assert list(bucket.objects()) == list(bucket.uploads()) == []
    assert list(tmp_path.rglob("weights.bin")) == []


def test_an_answer_whose_connection_is_cut_is_fetched_again(
    s3: str, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, bucket = store(s3, tmp_path / "one")
    manifest = with_weights(storage)
    bucket.put("large", b"l" * 5 * MIB)
    with CuttingProxy(s3_endpoint, after=3 * MIB, cuts=2, answers=True) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        found = store(s3, tmp_path / "other")[1].get("large")
        assert found is not None
        assert found[0] == b"l" * 5 * MIB
        assert proxy.done == 2
    with CuttingProxy(s3_endpoint, after=3 * MIB, cuts=2, answers=True) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        assert (store(s3, tmp_path / "other")[0].folder(manifest) / "weights.bin").read_bytes() == b"x" * WEIGHTS
        assert proxy.done == 2


def test_what_is_there_is_not_uploaded_again(
    s3: str, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, bucket = store(s3, tmp_path)
    manifest = with_weights(storage, b"w")
    with CuttingProxy(s3_endpoint, after=MIB, cuts=1000) as proxy:  # lets nothing large pass
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        assert with_weights(store(s3, tmp_path / "other")[0], b"w") == manifest
    assert proxy.done == 0
    assert [one.bytes for one in bucket.objects(f"{manifest.uri}/weights.bin")] == [WEIGHTS]


def test_parts_of_a_killed_upload_do_not_become_rows(s3: str, tmp_path: Path) -> None:
    storage, bucket = store(s3, tmp_path)
    with Storage(tmp_path / "twin").draft("images") as twin:
        twin.add(make_row())
    bucket.put(f"{twin.manifest.uri}/part-00007.parquet", b"cut in another place")
    with storage.draft("images") as draft:
        draft.add(make_row())
    assert draft.manifest == twin.manifest
    assert list(store(s3, tmp_path / "other")[0].rows(draft.manifest)) == [make_row()]


def test_an_output_with_a_lost_object_is_refused(s3: str, tmp_path: Path) -> None:
    storage, bucket = store(s3, tmp_path / "one")
    with storage.draft("images") as draft:
        draft.add(make_row())
    bucket.delete([f"{draft.manifest.uri}/part-00000.parquet"])
    with pytest.raises(StorageError, match=r"holds 0 bytes, its manifest says"):
        list(store(s3, tmp_path / "other")[0].rows(draft.manifest))


def test_a_listing_of_more_than_a_page_is_whole(s3: str, tmp_path: Path) -> None:
    _, bucket = store(s3, tmp_path)
    file = tmp_path / "small"
    file.write_bytes(b"x")
    names = [f"many/{number:04d}" for number in range(1001)]
    bucket.upload(dict.fromkeys(names, file))
    assert [found.key for found in bucket.objects("many/")] == names
    bucket.delete(names)
    assert list(bucket.objects()) == []


def test_leftovers_are_found_and_removed(s3: str, tmp_path: Path) -> None:
    storage, bucket = store(s3, tmp_path)
    with storage.draft("images") as draft:
        draft.add(make_row())
    name, prefix = s3.removeprefix("s3://").split("/", 1)
    boto3.client("s3").create_multipart_upload(Bucket=name, Key=f"{prefix}/adapter/{'0' * 16}/weights.bin")
    bucket.put(f"dataset/{'1' * 16}/part-00000.parquet", b"never finished")
    (tmp_path / "cache" / "objects" / "images" / ("2" * 16)).mkdir(parents=True)
    (tmp_path / "cache" / "drafts" / ".draft-elsewhere-1-0a1b2c3d").mkdir()
    assert sorted(left.address for left in storage.store.leftovers(older_than_s=-1)) == sorted(
        [
            f"{s3}/adapter/{'0' * 16}/weights.bin (upload in parts)",
            f"{s3}/dataset/{'1' * 16}",
            str(tmp_path / "cache" / "objects" / "images" / ("2" * 16)),
            str(tmp_path / "cache" / "drafts" / ".draft-elsewhere-1-0a1b2c3d"),
        ]
    )
    # The server dates every upload in parts to 2010.
    young = [left.address for left in storage.store.leftovers(older_than_s=3600) if "in parts" not in left.address]
    assert young == [str(tmp_path / "cache" / "objects" / "images" / ("2" * 16))]
    for left in storage.store.leftovers(older_than_s=-1):
        left.remove()
    assert list(storage.store.leftovers(older_than_s=-1)) == []
    assert [output.manifest for output in storage.outputs()] == [draft.manifest]


def test_a_refusal_is_one_clear_error(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = s3.removeprefix("s3://").split("/")[0]

    def error(location: str, **environment: str) -> MideficsError:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        with pytest.raises(StorageError) as raised, Storage.at(location, tmp_path).draft("images") as draft:
            draft.add(make_row())
        assert list(tmp_path.rglob("*.parquet")) == []
        return raised.value

    assert "s3://no-such-bucket/x: there is no such bucket; create it" in str(error("s3://no-such-bucket/x"))
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    boto3.client("s3").put_bucket_policy(Bucket=name, Policy=policy)
    assert f"{s3}: access denied; these credentials need" in str(error(s3))
    dead = error(s3, AWS_ENDPOINT_URL_S3="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="2")
    assert "does not answer" in str(dead)
    assert dead.exit_code == 75
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    assert "no credentials" in str(error(s3, AWS_EC2_METADATA_DISABLED="true"))
