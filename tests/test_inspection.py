from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from midefics.inspection import inspect
from tests.rows import blank, encoded, jpeg, picture


def smooth(seed: int = 0, grey: bool = False) -> Image.Image:
    """Soft bumps between 40 and 215, 320 x 240."""
    noise = np.random.default_rng(seed).integers(40, 215, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)
    return image.convert("L") if grey else image


def written_on(image: Image.Image, text: str, fill: str) -> bytes:
    image = image.convert("RGB")
    ImageDraw.Draw(image).text((20, 200), text, font=ImageFont.load_default(14), fill=fill)
    return encoded(image)


def test_measurements_worked_out_by_hand() -> None:
    halves = Image.new("RGB", (8, 4), (10, 10, 10))
    halves.paste((30, 30, 30), (0, 0, 4, 4))
    found = inspect(encoded(halves))
    # two grey values, equally often: 1 bit, 10 either side of their mean; no colour
    assert (found.contrast, found.entropy, found.colourfulness) == (10.0, 1.0, 0.0)
    red = inspect(encoded(Image.new("RGB", (8, 8), (200, 0, 0))))
    # nothing spreads; 0.3 times the length of (red - green, (red + green) / 2 - blue) = (200, 100)
    assert red.colourfulness == round(0.3 * float(np.hypot(200, 100)), 2)


@pytest.mark.parametrize(
    ("content", "readable"),
    [(b"<html>", "no: UnidentifiedImageError"), (jpeg()[:300], "no: OSError"), (b"", "no: UnidentifiedImageError")],
)
def test_what_does_not_decode_says_so_and_has_no_measurements(content: bytes, readable: str) -> None:
    found = inspect(content)
    assert found.readable == readable
    assert found.contrast is None
    assert not found.thumbnail.any()


def test_the_colour_mode_is_the_file_s() -> None:
    assert inspect(encoded(Image.open(BytesIO(picture(7))).quantize(16))).colour_mode == "P"
    assert inspect(encoded(smooth(grey=True))).colour_mode == "L"


@pytest.mark.parametrize("fill", ["white", "yellow", "black"])
@pytest.mark.parametrize("grey", [True, False])
def test_writing_is_suspected_and_its_absence_is_not(fill: str, grey: bool) -> None:
    for seed in range(4):
        assert inspect(encoded(smooth(seed, grey))).text_line == 0
        found = inspect(written_on(smooth(seed, grey), "DOE JANE 01/02/1987", fill)).text_line
        assert found is not None
        assert found > 4


def test_hairs_and_noise_are_no_writing() -> None:
    image = smooth(1)
    draw = ImageDraw.Draw(image)
    for start in range(0, 300, 40):
        draw.line((start, 0, 320 - start, 239), fill="black", width=2)
    assert (inspect(encoded(image)).text_line or 0) <= 4
    assert (inspect(picture(3, (320, 240))).text_line or 0) <= 4


def test_a_cut_off_file_that_was_filled_is_told_by_its_even_grey() -> None:
    image = smooth(2)
    image.paste((128, 128, 128), (0, 180, 320, 240))
    assert inspect(encoded(image)).filled_below == 0.25
    assert inspect(encoded(smooth(2))).filled_below == 0.0
    assert inspect(encoded(Image.new("L", (40, 40), 128))).filled_below == 1.0
    assert inspect(blank()).filled_below == 0.0
