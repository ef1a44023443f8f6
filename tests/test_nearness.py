import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from midefics.nearness import MAX_DISTANCE, near_pairs, parsed


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
