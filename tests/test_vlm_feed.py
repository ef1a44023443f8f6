"""How samples come together: every one once, the same on every machine, with little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from midefics.config import TrainConfig
from midefics.vlm.feed import Feed, batches, padding

WAYS = ["fixed", "grouped", "tokens", "packed"]


def config(batching: str, **rest: object) -> TrainConfig:
    values = {"batching": batching, "batch_size": 4, "max_length": 100, "tokens_per_batch": 200} | rest
    return TrainConfig.model_validate(values)


def natural_lengths(count: int) -> list[int]:
    """Like those of conversations: lognormal about a median of 260 tokens."""
    drawn = np.random.default_rng(0).lognormal(np.log(260), 0.6, count)
    return np.clip(drawn, 40, 1024).astype(int).tolist()


@pytest.mark.parametrize("batching", WAYS)
@given(lengths=st.lists(st.integers(2, 100), min_size=1, max_size=60), seed=st.integers(0, 9), world=st.integers(1, 3))
def test_every_sample_is_in_one_batch_of_one_rank(batching: str, lengths: list[int], seed: int, world: int) -> None:
    ranks = [list(Feed(lengths, config(batching), seed, rank, world)) for rank in range(world)]
    assert len({len(mine) for mine in ranks}) == 1
    taken = [index for mine in ranks for batch in mine for index in batch if index >= 0]
    assert sorted(taken) == list(range(len(lengths)))


@pytest.mark.parametrize("batching", WAYS)
@given(lengths=st.lists(st.integers(2, 100), min_size=1, max_size=60))
def test_every_epoch_has_as_many_batches_and_none_is_too_large(batching: str, lengths: list[int]) -> None:
    made = [batches(lengths, config(batching), 0, epoch) for epoch in range(4)]
    assert len({len(epoch) for epoch in made}) == 1
    for batch in (batch for epoch in made for batch in epoch):
        rows = [lengths[index] for index in batch]
        if batching in ("fixed", "grouped"):
            assert len(batch) <= 4
        elif batching == "tokens":
            assert len(batch) == 1 or len(batch) * max(rows) <= 200
        else:
            assert sum(rows) <= 200


@pytest.mark.parametrize("batching", WAYS)
def test_the_order_follows_from_seed_and_epoch_alone(batching: str) -> None:
    lengths = natural_lengths(200)
    given = config(batching, max_length=1024, tokens_per_batch=2048)
    first = batches(lengths, given, 1, 0)
    assert batches(list(lengths), given, 1, 0) == first
    assert batches(lengths, given, 1, 1) != first
    assert batches(lengths, given, 2, 0) != first


def test_the_feed_gives_the_epoch_it_is_set_to() -> None:
    lengths = natural_lengths(50)
    feed = Feed(lengths, config("fixed", max_length=1024, tokens_per_batch=2048), 0)
    feed.set_epoch(3)
    assert list(feed) == batches(lengths, config("fixed", max_length=1024, tokens_per_batch=2048), 0, 3)


def test_packing_is_first_fit_with_the_longest_first() -> None:
    # 70+30, 60+40, 50+40, then 20 fits behind 50+40 no more than into the full rows: a fourth row.
    lengths = [40, 70, 20, 50, 30, 60, 40]
    made = batches(lengths, config("packed", tokens_per_batch=100), 0, 0)
    assert sorted(sorted(lengths[index] for index in batch) for batch in made) == [[20], [30, 70], [40, 50], [40, 60]]


def test_batches_by_tokens_hold_what_their_longest_leaves_room_for() -> None:
    lengths = [100, 90, 60, 50, 50, 40, 10]
    made = batches(lengths, config("tokens"), 0, 0)
    assert sorted([sorted(lengths[index] for index in batch) for batch in made]) == [[10, 40], [50, 50, 60], [90, 100]]


def test_a_round_is_filled_with_what_is_not_learnt_from() -> None:
    made = batches([30, 20, 10], config("fixed", batch_size=1), 0, 0, world=2)
    assert len(made) == 4
    assert made[-1] == [~2]


def test_padding_is_counted_as_the_share_of_computed_positions() -> None:
    lengths = [10, 20, 30, 40]
    assert padding(lengths, [[0, 1], [2, 3]], config("fixed")) == pytest.approx(1 - 100 / 120)
    assert padding(lengths, [[0, 1, 2, 3]], config("packed", tokens_per_batch=125)) == pytest.approx(0.2)
    assert padding(lengths, [[0, 1], [2, 3], [~0]], config("fixed")) == pytest.approx(1 - 100 / 120)


@pytest.mark.parametrize(("batching", "most"), [("grouped", 0.04), ("tokens", 0.04), ("packed", 0.01)])
def test_little_of_what_is_computed_is_padding(batching: str, most: float) -> None:
    lengths = natural_lengths(4000)
    given = config(batching, batch_size=16, max_length=1024, tokens_per_batch=4096)
    assert padding(lengths, batches(lengths, given, 0, 0), given) < most
    at_random = config("fixed", batch_size=16, max_length=1024, tokens_per_batch=4096)
    assert padding(lengths, batches(lengths, at_random, 0, 0), at_random) > 0.4


def test_a_hundred_thousand_samples_are_packed_in_a_moment() -> None:
    lengths = natural_lengths(100_000)
    given = config("packed", max_length=1024, tokens_per_batch=4096)
    assert padding(lengths, batches(lengths, given, 0, 0), given) < 0.01


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"batching": "packed", "tokens_per_batch": 512}, "at least max_length"),
        ({"frozen_outputs": True}, "lora.targets: text"),
        ({"batching": "packed", "attention": "eager"}, "packed needs attention: sdpa"),
        ({"attention": "flash_attention_2"}, "'sdpa' or 'eager'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TrainConfig.model_validate(wrong)


@pytest.mark.parametrize(("bare", "meant"), [(True, "on"), (False, "off"), ("auto", "auto")])
def test_a_bare_on_or_off_of_yaml_is_understood(bare: object, meant: str) -> None:
    assert TrainConfig.model_validate({"gradient_checkpointing": bare}).gradient_checkpointing == meant
