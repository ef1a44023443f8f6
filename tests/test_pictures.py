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
