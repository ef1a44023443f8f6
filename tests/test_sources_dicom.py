import contextlib
import hashlib
import io
import logging
import os
import random
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from midefics.config import load_config
from midefics.errors import SourceError
from midefics.pictures import shrink
from midefics.records import Case
from midefics.sources import dicom
from midefics.sources.dicom_pixels import picture
from midefics.stages import ingest
from tests.hostile import traps
from tests.rows import make_services

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
"""Files of many makers that come with pydicom."""
RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 16


def dataset(pixels: np.ndarray = RAMP, **elements: Any) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bits = 8 * pixels.dtype.itemsize
    told = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": "1.2.3.4", "Modality": "CT", "PatientID": "4711", "PatientName": "Doe^Jane",
        "StudyInstanceUID": "1.2.3", "Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"), "PixelData": pixels.tobytes(),
    }  # fmt: skip
    for name, value in (told | elements).items():
        setattr(made, name, value)
    return made


def encoded(made: Dataset) -> bytes:
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def greys(pixels: np.ndarray = RAMP, **elements: Any) -> np.ndarray:
    return np.asarray(picture(encoded(dataset(pixels, **elements))))


def folder(root: Path, **files: bytes) -> Path:
    for name, content in files.items():
        (root / "CD" / "SERIES").mkdir(parents=True, exist_ok=True)
        (root / "CD" / "SERIES" / name).write_bytes(content)
    return root


def only(root: Path, **elements: Any) -> Any:
    (found,) = dicom.cases(folder(root, IM0001=encoded(dataset(**elements))))
    return found


def test_a_file_becomes_a_case_without_anything_that_names_the_patient(tmp_path):
    identifier = f"dicom/{hashlib.sha256(b'CD/SERIES/IM0001').hexdigest()[:16]}"
    case = only(
        tmp_path, BodyPartExamined="CHEST", PatientSex="F", PatientAge="045Y", ViewPosition="PA", ImageLaterality="L",
        BurnedInAnnotation="NO", StudyDescription="Jane Doe, after the fall", InstitutionName="St. Elsewhere",
        PatientBirthDate="19500101", ReferringPhysicianName="Who^Dr", AccessionNumber="A99",
    )  # fmt: skip
    assert case == Case(
        id=identifier,
        source="dicom",
        path=tmp_path / "CD" / "SERIES" / "IM0001",
        origin="file 1",
        group="4711",
        links=("1.2.3",),
        metadata={
            "body_part": "chest", "burned_in_annotation": False, "laterality": "left", "modality": "CT",
            "patient_age": 45, "patient_sex": "female", "view_position": "PA",
        },
        licence="not stated",
        attribution="not stated",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "group", "links"),
    [({"PatientID": ""}, "1.2.3", ()), ({"StudyInstanceUID": ""}, "4711", ())],
)
def test_the_group_is_the_patient_else_the_study(tmp_path, elements, group, links):
    case = only(tmp_path, **elements)
    assert (case.group, case.links) == (group, links)


@pytest.mark.parametrize(
    ("age", "years"),
    [("018M", 1), ("003W", 0), ("089Y", 89), ("104Y", 90), ("about 45", None), ("", None)],
)
def test_an_age_is_in_years_and_none_is_higher_than_90(tmp_path, age, years):
    assert only(tmp_path, PatientAge=age).metadata.get("patient_age") == years


def test_what_somebody_typed_where_a_code_belongs_is_left_out(tmp_path):
    case = only(tmp_path, BodyPartExamined="Jane Doe's hand", ViewPosition="pa, standing", PatientSex="female")
    assert case.metadata == {"modality": "CT"}


def test_files_are_found_under_any_name_in_the_order_of_ids_and_the_directory_is_no_picture(tmp_path):
    directory = dataset(SOPClassUID=MediaStorageDirectoryStorage)
    folder(tmp_path, IM1=encoded(dataset()), b=encoded(dataset()), DICOMDIR=encoded(directory), **{".hidden": b"x"})
    (tmp_path / "a.dcm").write_bytes(encoded(dataset()))
    found = list(dicom.cases(tmp_path))
    assert [one.id for one in found] == sorted(one.id for one in found)
    # find . ! -type d | LC_ALL=C sort: CD/SERIES/.hidden, CD/SERIES/DICOMDIR, CD/SERIES/IM1, CD/SERIES/b, a.dcm
    assert sorted(one.origin for one in found) == ["file 3", "file 4", "file 5"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"Dear Mrs Doe, the images are on this disc.", "not DICOM"),
        (bytes(128) + b"DICM", "unsupported compression"),
        (encoded(dataset(Modality="SR", PixelData=b"")), "no picture"),
        (encoded(dataset(Rows=0)), "no picture"),
    ],
)
def test_what_is_no_picture_is_rejected_with_its_reason_and_without_its_name(tmp_path, content, reason):
    (found,) = dicom.cases(folder(tmp_path, DOE_JANE=content))
    assert (found.reason, found.origin) == (reason, "file 1")
    assert "DOE" not in found.model_dump_json()


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"no folder .*--source dicom=PATH"):
        list(dicom.cases(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="no files"):
        list(dicom.cases(tmp_path))


def test_a_window_is_applied_after_the_rescaling():
    # Window 40 ± 200 on values - 1024 (PS3.3 C.11.2.1.2): black up to 39.5 - 199.5 = -160, white above 239,
    # between them ((x - 39.5) / 399 + 0.5) * 255.
    pixels = np.array([[0, 864], [1064, 1263], [1264, 4000], [1000, 1100]], np.uint16)
    told = greys(pixels, WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=-1024, BitsStored=12)
    between = [round(((x - 1024 - 39.5) / 399 + 0.5) * 255) for x in (1064, 1000, 1100)]
    assert told.tolist() == [[0, 0], [between[0], 255], [255, 255], [between[1], between[2]]]


def test_the_first_of_several_windows_counts():
    one = greys(WindowCenter=[1000, 2000], WindowWidth=[500, 4000])
    assert (one == greys(WindowCenter=1000, WindowWidth=500)).all()
    assert not (one == greys(WindowCenter=2000, WindowWidth=4000)).all()


@pytest.mark.parametrize("width", [None, 0, -5], ids=["none", "zero", "negative"])
def test_without_a_usable_window_nearly_all_values_are_spread(width):
    # 1000 pixels of 0 ... 999, of which 0.5 % are below 5 and above 994; one outlier must not take the contrast away.
    pixels = np.arange(1000, dtype=np.int16).reshape(25, 40)
    pixels[-1, -1] = 30_000
    told = greys(pixels, **({} if width is None else {"WindowCenter": 5, "WindowWidth": width}))
    assert (told[0, 0], told[0, 5], told[-1, -1]) == (0, 0, 255)
    assert abs(int(told[12, 20]) - 128) <= 1


def test_padding_does_not_count_for_the_spread():
    pixels = np.full((20, 20), -2000, np.int16)
    pixels[5:15, 5:15] = np.arange(100).reshape(10, 10)
    told = greys(pixels, PixelPaddingValue=-2000)
    assert (told[0, 0], told[5, 5], told[14, 14]) == (0, 0, 255)
    assert abs(int(told[10, 5]) - 128) <= 3


def test_monochrome1_is_inverted():
    assert (greys(PhotometricInterpretation="MONOCHROME1") == 255 - greys()).all()


def test_a_falling_slope_turns_the_values_round():
    rising = greys(WindowCenter=2048, WindowWidth=4096, RescaleSlope=1, RescaleIntercept=0)
    falling = greys(WindowCenter=2048, WindowWidth=4096, RescaleSlope=-1, RescaleIntercept=4096)
    assert np.abs(rising.astype(int) - (255 - falling.astype(int))).max() <= 1


@pytest.mark.parametrize(("first", "last"), [(0, 255), (255, 0)], ids=["rising", "falling"])
def test_a_table_of_greys_is_looked_up(first, last):
    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table.add_new("LUTData", "OW", np.linspace(first, last, 256).astype(np.uint16).tobytes())
    told = greys(np.array([[0, 128], [255, 200]], np.uint8), VOILUTSequence=Sequence([table]))
    expected = [[first, 128 if first == 0 else 127], [last, 200 if first == 0 else 55]]
    assert np.abs(told.astype(int) - expected).max() <= 1


def test_the_middle_one_of_several_frames_is_shown_and_the_metadata_say_so(tmp_path):
    frames = np.stack([RAMP, RAMP[::-1], RAMP.T])
    elements = {"NumberOfFrames": 3, "PixelData": frames.tobytes()}
    assert (greys(RAMP, **elements) == greys(RAMP[::-1].copy())).all()
    assert only(tmp_path, **elements).metadata["frame"] == "2 of 3"


def test_the_window_of_an_enhanced_objects_frame_is_found():
    window, groups = Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = 1000, 500
    groups.FrameVOILUTSequence = Sequence([window])
    told = greys(PerFrameFunctionalGroupsSequence=Sequence([groups]))
    assert (told == greys(WindowCenter=1000, WindowWidth=500)).all()


def test_colour_stays_colour():
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0] = 200
    told = greys(colours, PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0)
    assert told.shape == (4, 4, 3)
    assert (told[0, 0] == [200, 0, 0]).all()


@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": 32},
        {"Rows": 8},
        {"Columns": 8},
        {"Rows": 65535, "Columns": 65535},
        {"NumberOfFrames": 2_000_000_000},
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "Rows": 8},
        {"PixelData": b""},
        {"SamplesPerPixel": 3},
        {"RescaleSlope": "NaN", "RescaleIntercept": 0},
    ],
    ids=str,
)
def test_a_header_that_lies_about_its_pixels_is_refused(elements):
    with pytest.raises(ValueError):
        greys(RAMP, **elements)


def test_pixel_data_a_little_longer_than_they_should_be_are_read():
    assert (greys(PixelData=RAMP.tobytes() + bytes(20)) == greys()).all()


def test_files_of_many_makers_are_read_or_rejected_with_a_reason():
    found = list(dicom.cases(SHIPPED))
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    directories = [path for path in files if b"1.2.840.10008.1.3.10" in path.read_bytes()[:400]]
    assert len(directories) > 5
    assert len(found) == len(files) - len(directories)
    reasons = Counter(one.reason for one in found if not isinstance(one, Case))
    assert set(reasons) <= {"no picture", "not DICOM", "unsupported compression", "unreadable header"}
    outcomes = Counter()
    for one in found:
        if isinstance(one, Case):
            try:
                shrink(one.path.read_bytes(), 160, picture)
                outcomes["read"] += 1
            except ValueError:
                outcomes["unreadable"] += 1
    assert outcomes["read"] >= 60
    assert outcomes["unreadable"] <= 10


def test_flipped_and_cut_files_are_read_or_told_to_be_broken(tmp_path):
    chance = random.Random(0)  # noqa: S311 (bits, no secret)
    whole = [path.read_bytes() for path in sorted(SHIPPED.glob("*.dcm")) if path.stat().st_size < 10_000]
    for number in range(400):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.choice((1, 4, 16))):
            content[chance.randrange(min(len(content), 2000))] = chance.randrange(256)
        content = content[: chance.randrange(len(content))] if number % 10 == 0 else content
        (tmp_path / f"{number}").write_bytes(content)
    found = list(dicom.cases(tmp_path))
    assert len(found) == 400
    for one in found:
        with contextlib.suppress(ValueError):
            one.model_dump_json()
            shrink(one.path.read_bytes() if isinstance(one, Case) else b"", 160, picture)


def test_sequences_nested_without_end_are_told_to_be_broken(tmp_path):
    # (0008,1140) in an item of (0008,1140), twenty thousand times, of undefined length, which pydicom reads recursively.
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = encoded(dataset())
    meta = content[: content.index(b"\x08\x00\x16\x00")]
    (found,) = dicom.cases(folder(tmp_path, deep=meta + opening * 20_000))
    assert found.reason in ("unreadable header", "no picture")


def test_folders_nested_without_end_are_walked(tmp_path):
    deepest = tmp_path / "a"
    deepest.mkdir()
    for _ in range(1200):
        deepest = deepest / "a"
        deepest.mkdir()
    (deepest / "IM1").write_bytes(encoded(dataset()))
    try:
        assert isinstance(next(dicom.cases(tmp_path)), Case)
    finally:  # one by one: pytest's own cleaning up is recursive
        (deepest / "IM1").unlink()
        while deepest != tmp_path:
            deepest.rmdir()
            deepest = deepest.parent


@pytest.mark.parametrize("trap", traps(Path()))
def test_links_pipes_and_folders_are_rejected_unopened(tmp_path, trap):
    outside = folder(tmp_path / "private", secret=encoded(dataset())) / "CD" / "SERIES" / "secret"
    root = folder(tmp_path / "archive", IM1=encoded(dataset()))
    traps(outside)[trap](root / "IM2")
    reasons = [one.reason for one in dicom.cases(root) if not isinstance(one, Case)]
    assert reasons == {
        "folder": [],
        "pipe": ["not a file"],
        "link_to_nothing": ["missing image"],
        "link_to_itself": ["missing image"],
    }.get(trap, ["path outside the archive"])


def test_a_header_that_is_compressed_is_not_unpacked(tmp_path):
    content = (SHIPPED / "image_dfl.dcm").read_bytes()
    start = 144 + int.from_bytes(
        content[140:144], "little"
    )  # as long as (0002,0000) says, the header is not compressed
    bomb = zlib.compressobj(wbits=-15)
    (found,) = dicom.cases(folder(tmp_path, x=content[:start] + bomb.compress(bytes(2**25)) + bomb.flush()))
    assert found.reason == "unsupported compression"
    with pytest.raises(ValueError, match="Deflated"):
        picture(content)


@pytest.mark.parametrize("name", [b"DOE\nJANE", b"\xff\xfe", b"x" * 255, "\u202egpj".encode()], ids=repr)
def test_any_name_will_do(tmp_path, name):
    (tmp_path / os.fsdecode(name)).write_bytes(encoded(dataset()))
    config = load_config("demo", {"dicom": tmp_path}).only(["dicom"])
    services = make_services(tmp_path / ".home")
    (row,) = services.storage.rows(ingest.run(config, services=services))
    assert row.id == f"dicom/{hashlib.sha256(name).hexdigest()[:16]}"


@pytest.mark.parametrize(
    ("name", "plugin"),
    [("MR_small_jpeg_ls_lossless.dcm", "pyjpegls"), ("SC_rgb_jpeg_gdcm.dcm", "pylibjpeg-libjpeg")],
)
def test_a_compression_beyond_us_names_what_to_install(tmp_path, name, plugin):
    (found,) = dicom.cases(folder(tmp_path, x=(SHIPPED / name).read_bytes()))
    assert found.reason == "unsupported compression"
    assert plugin in found.detail


def test_a_picture_beyond_the_plugins_that_are_here_names_the_others():
    with pytest.raises(ValueError, match=r"JPEG Extended.*pylibjpeg-libjpeg"):
        picture((SHIPPED / "JPGExtended.dcm").read_bytes())


def test_the_same_picture_comes_out_however_it_was_stored():
    stored = [
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_padded.dcm",
    ]
    first, *others = (np.asarray(picture((SHIPPED / name).read_bytes())) for name in stored)
    assert all((first == other).all() for other in others)


def test_neither_values_nor_names_reach_the_log(tmp_path, caplog, recwarn):
    content = encoded(dataset(BodyPartExamined="SOMEBODYSHAND")).replace(b"SOMEBODYSHAND ", b"Doe^Jane, 1950")
    caplog.set_level(logging.DEBUG)
    list(dicom.cases(folder(tmp_path, DOE_JANE=content)))
    assert "Doe" not in caplog.text + "".join(str(warning.message) for warning in recwarn.list)


def test_ingest_keeps_the_digest_of_the_file_and_no_patient(tmp_path):
    content = encoded(dataset(PatientBirthDate="19500101"))
    config = load_config("demo", {"dicom": folder(tmp_path / "archive", DOE_JANE=content)}).only(["dicom"])
    services = make_services(tmp_path)
    (row,) = services.storage.rows(ingest.run(config, services=services))
    assert (row.image_sha256, row.width, row.height) == (hashlib.sha256(content).hexdigest(), 16, 16)
    assert row.links != ("1.2.3",)
    told = row.model_dump_json(exclude={"image"})
    assert not [word for word in ("4711", "Doe", "DOE", "1950", "1.2.3") if word in told]


@pytest.mark.parametrize(
    ("metadata", "answers"),
    [
        (
            {"modality": "MR", "body_part": "cspine", "laterality": "left"},
            ["An MRI image of the cervical spine.", "MRI.", "The cervical spine.", "The left."],
        ),
        ({"modality": "DX", "laterality": "both"}, ["An X-ray.", "X-ray."]),
        ({"modality": "OT", "body_part": "hand"}, []),
    ],
)
def test_the_conversation_says_what_the_metadata_say(metadata, answers):
    assert [turn.answer for turn in dicom.conversation(metadata)] == answers


def test_splits_may_hold_equal_shares_of_each_modality_and_part():
    assert dicom.SOURCE.label({"modality": "MR", "body_part": "cspine"}) == "MR cspine"
    assert dicom.SOURCE.label({}) == ""
