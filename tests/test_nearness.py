import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from midefics.nearness import MAX_DISTANCE, alike, alike_pairs, near_pairs, parsed, thumbnail
from tests.rows import blank, encoded


def components(images: int, pairs: np.ndarray) -> list[int]:
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(images, images))
    return list(connected_components(graph, directed=False)[1])


bases = st.integers(0, 2**64 - 1)
turned_bits = st.sets(st.integers(0, 63), max_size=9)


@given(
    st.lists(st.tuples(st.sampled_from([0, 2**64 - 1, 0x0123456789ABCDEF]) | bases, turned_bits), min_size=2),
    st.integers(0, MAX_DISTANCE),
)
def test_the_same_images_hang_together_as_by_comparing_each_with_each(
    made: list[tuple[int, set[int]]], distance: int
) -> None:
    hashes = np.array([base ^ sum(1 << bit for bit in bits) for base, bits in made], dtype=np.uint64)
    every = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= distance
    by_hand = np.argwhere(np.triu(every, 1))
    found = near_pairs(hashes, distance)
    assert components(len(hashes), found) == components(len(hashes), by_hand)
    assert {tuple(pair) for pair in found} <= {tuple(pair) for pair in by_hand}


def test_a_thousand_equal_pictures_make_a_thousand_pairs() -> None:
    pairs = near_pairs(parsed(["00000000000000ff"] * 1001), 4)
    assert pairs.tolist() == [[0, other] for other in range(1, 1001)]


def test_a_distance_that_cannot_be_searched_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 7 bits"):
        near_pairs(parsed(["0" * 16]), 8)


def coarse(seed: int) -> Image.Image:
    """A picture with a few large bumps."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image, quality: int = 40) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def test_one_shot_is_known_again_after_what_archives_do_to_it() -> None:
    image = coarse(1)
    original = encoded(image)
    for again in (image.resize((160, 120)), image.convert("L"), ImageEnhance.Contrast(image).enhance(0.7)):
        assert alike(original, as_jpeg(again))
    assert not alike(original, encoded(coarse(2)))
    assert not alike(original, encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    assert not alike(blank(), blank())


def test_pairs_are_those_with_near_hashes_and_alike_pictures() -> None:
    #  0 and 2 are one shot under one hash, 3 is it again one bit off; 1 is another shot under the same hash,
    #  4 is the first shot under a far hash, 5 hangs on nobody
    shots = [coarse(1), coarse(2), coarse(1), coarse(1), coarse(1), coarse(3)]
    hashes = parsed(["00ff", "00ff", "00ff", "00fe", "ff00", "f0f0f0f0f0f0"])
    found = list(alike_pairs(hashes, np.stack([thumbnail(shot) for shot in shots]).__getitem__, 4))
    assert sorted(map(tuple, np.concatenate(found).tolist())) == [(0, 2), (0, 3), (2, 3)]


def test_a_crowd_with_one_hash_is_compared_in_portions() -> None:
    thumbnails = np.stack([thumbnail(coarse(number % 2)) for number in range(300)])
    found = np.concatenate(list(alike_pairs(parsed(["0"] * 300), thumbnails.__getitem__, 6)))
    assert len(found) == len(np.unique(found, axis=0)) == 2 * (150 * 149 // 2)
    assert (found[:, 0] % 2 == found[:, 1] % 2).all()
