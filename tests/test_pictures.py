import io

import numpy as np
import pytest
from PIL import Image

from midefics.pictures import as_rgb, perceptual_hash, shrink
from tests.rows import jpeg


def test_exif_is_gone_and_the_picture_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "A camera"
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg((80, 40)))).save(file, "JPEG", exif=exif)
    small, width, height, *_ = shrink(file.getvalue(), 60)
    with Image.open(io.BytesIO(small)) as picture:
        assert (picture.size, width, height) == ((30, 60), 40, 80)
        assert not picture.getexif()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_set_upright(orientation: int) -> None:
    # The corner that EXIF says is shown top left is white; the picture is wider than high.
    stored = Image.new("L", (8, 4))
    corner = {1: (0, 0), 2: (7, 0), 3: (7, 3), 4: (0, 3), 5: (0, 0), 6: (0, 3), 7: (7, 3), 8: (7, 0)}[orientation]
    stored.putpixel(corner, 255)
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored.save(file, "PNG", exif=exif)
    small, width, height, *_ = shrink(file.getvalue(), 60)
    with Image.open(io.BytesIO(small)) as picture:
        assert picture.size == (width, height) == ((8, 4) if orientation < 5 else (4, 8))
        assert np.asarray(picture.convert("L"))[0, 0] > 200


def test_exif_that_can_not_be_written_again_does_not_stop_a_picture() -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x0128] = 6, 3
    Image.open(io.BytesIO(jpeg((80, 40)))).save(file, "JPEG", exif=exif)
    # The unit of resolution (0x0128) becomes of a type that holds bytes, with a number in it.
    odd = file.getvalue().replace(b"\x01\x28\x00\x03", b"\x01\x28\x00\x07")
    assert odd != file.getvalue()
    assert shrink(odd, 60).width == 40


def test_a_strip_is_shrunk_to_a_line() -> None:
    small, width, height, *_ = shrink(jpeg((2, 1600)), 160)
    assert (width, height) == (2, 1600)
    assert Image.open(io.BytesIO(small)).size == (1, 160)


def test_a_comment_in_the_file_is_gone() -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg())).save(file, "JPEG", comment=b"Jane Doe, born 1950")
    assert b"Jane Doe" in file.getvalue()
    assert b"Jane Doe" not in shrink(file.getvalue(), 60).content


def test_what_is_wrong_with_a_file_is_told_in_the_same_words_every_time() -> None:
    said = set()
    for content in (b"GIF89a, not a JPEG", b"GIF89a, not a PNG"):
        with pytest.raises(ValueError, match="no JPEG or PNG file: it begins with b'GIF89a, '") as error:
            shrink(content, 60)
        said.add(str(error.value))
    assert len(said) == 1


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert as_rgb(Image.new("RGB", (8, 8), "red").convert(mode)).mode == "RGB"


def test_16_bit_greys_are_stretched_not_saturated() -> None:
    picture = as_rgb(Image.fromarray(np.linspace(1000, 5000, 64, dtype=np.uint16).reshape(8, 8)))
    values = np.asarray(picture)[..., 0]
    assert (values.min(), values.max()) == (0, 255)
    assert len(np.unique(values)) == 64


def test_a_bomb_is_refused_unopened() -> None:
    # 30,000 x 30,000 pixels in a header of a few bytes
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    with pytest.raises((ValueError, Image.DecompressionBombError)):
        shrink(file.getvalue(), 160)


def test_a_near_duplicate_has_nearly_the_same_hash_and_another_picture_has_not() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 12, 16, 3), dtype=np.uint8)
    one, other = (Image.fromarray(each).resize((640, 480), Image.Resampling.BICUBIC) for each in noise)
    file = io.BytesIO()
    one.resize((320, 240)).save(file, "JPEG", quality=60)

    def differing_bits(first: Image.Image, second: Image.Image) -> int:
        return (int(perceptual_hash(first), 16) ^ int(perceptual_hash(second), 16)).bit_count()

    assert differing_bits(one, Image.open(file)) <= 4
    assert differing_bits(one, other) >= 16
