"""What headers, buckets, the gate, the capacity and the breaker make of what they are told."""

import asyncio
import random

import pytest

from midefics.services.breaker import FAILURES_IN_A_ROW, Breaker
from midefics.services.bucket import Bucket
from midefics.services.capacity import FIRST, Capacity
from midefics.services.gate import Ceilings, Gate
from midefics.services.rate_headers import Limit, limit_told, retry_after


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "told"),
    [
        ("600", "599", "100ms", Limit(10.0, 600, 599)),
        ("600", "598", "199ms", Limit(10.0, 600, 598)),  # rounded, but a minute's limit is meant
        ("200", "199", "7m12s", Limit(1 / 432, 200, 199)),  # a day's limit
        ("600", "600", "0s", Limit(10.0, 600, 600)),
        ("600", "", "1s", None),
        ("0", "0", "1s", None),
    ],
)
def test_a_limit_is_read_from_the_headers(limit: str, remaining: str, reset: str, told: Limit | None) -> None:
    headers = {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": reset,
    }
    found = limit_told(headers, "requests")
    assert found == pytest.approx(told, abs=1e-6)
    assert limit_told(headers, "tokens") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after-ms": "250", "retry-after": "1"}, 0.25), ({"retry-after": "3"}, 3.0), ({"retry-after": "x"}, None)],
)
def test_a_pause_is_read_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_bucket_lets_a_minute_leave_at_once_and_then_spreads_the_rest() -> None:
    bucket = Bucket(60)
    assert [bucket.take(1) for _ in range(60)] == [0.0] * 60
    assert bucket.take(1) == pytest.approx(1.0, abs=0.2)
    assert bucket.take(1) == pytest.approx(2.0, abs=0.2)


def test_a_bucket_without_a_burst_spreads_from_the_beginning() -> None:
    bucket = Bucket(60, burst=False)
    assert [bucket.take(1) for _ in range(3)] == pytest.approx([0.0, 1.0, 2.0], abs=0.2)


def test_the_lower_of_what_is_told_and_configured_holds() -> None:
    assert Bucket(60).rate == 1.0
    bucket = Bucket(60)
    bucket.learn(Limit(10.0, 600, 599), 0)
    assert bucket.rate == 1.0
    bucket.learn(Limit(0.5, 30, 29), 0)
    assert bucket.rate == 0.5
    assert Bucket().take(10**9) == 0.0


def test_capacity_grows_while_all_goes_well_and_one_trouble_cuts_it_once() -> None:
    async def go() -> list[int]:
        capacity = Capacity(20, timeout_s=60)
        limits = [int(capacity.limit)]
        entered = [await capacity.enter() for _ in range(int(FIRST))]
        for one in entered:
            capacity.went_well(one, 1.0)
        limits.append(int(capacity.limit))
        for one in entered:
            capacity.trouble(one)
        limits.append(int(capacity.limit))
        return limits

    assert asyncio.run(go()) == [8, 16, 11]


def test_answers_that_hardly_come_in_time_are_a_trouble() -> None:
    async def go() -> float:
        capacity = Capacity(20, timeout_s=10)
        capacity.went_well(await capacity.enter(), 6.0)
        return capacity.limit

    assert asyncio.run(go()) == pytest.approx(FIRST * 0.7)


def test_a_breaker_opens_after_failures_in_a_row_and_an_answer_closes_it() -> None:
    async def go() -> None:
        breaker = Breaker()
        for _ in range(FAILURES_IN_A_ROW - 1):
            assert not breaker.failed(probe=False)
        breaker.answered()
        for _ in range(FAILURES_IN_A_ROW):
            assert not await breaker.enter()
            breaker.failed(probe=False)
        assert await breaker.enter()  # the probe, after the pause
        breaker.answered()
        assert not await breaker.enter()

    asyncio.run(go())


def outcomes(gate: Gate, refused: list[bool], headers: dict[str, str]) -> list[float]:
    """Sends one request after the other; returns how long each that was refused must wait."""

    async def go() -> list[float]:
        pauses = []
        for one in refused:
            turn = await gate.enter(1)
            if one:
                pauses.append(gate.refuse(turn, headers))
            else:
                gate.welcome(turn, {})
        return pauses

    return asyncio.run(go())


def test_refusals_at_random_cost_their_own_request_alone() -> None:
    draw, gate = random.Random(3), Gate()  # noqa: S311 (faults)
    pauses = outcomes(gate, [draw.random() < 0.05 for _ in range(2000)], {})
    assert 80 < len(pauses) < 120
    assert all(0.5 <= pause <= 1 for pause in pauses)
    assert gate.requests.rate is None


@pytest.mark.parametrize(
    ("refused", "slower"),
    [
        ([True] * 4 + [False], False),
        ([True] * 5, True),
        ([False, False, True] * 13, False),
        ([False, False, True] * 14, True),
    ],
)
def test_refusals_in_a_row_or_in_a_large_share_are_a_limit_s(refused: list[bool], slower: bool) -> None:
    gate = Gate()
    outcomes(gate, refused, {"retry-after": "0"})
    assert (gate.requests.rate is not None) is slower


def test_a_rate_falls_once_for_all_that_had_left_and_rises_again() -> None:
    async def go() -> tuple[float | None, float | None]:
        gate = Gate()
        turns = [await gate.enter(1) for _ in range(30)]
        for turn in turns:
            gate.refuse(turn, {"retry-after-ms": "20"})
        fallen = gate.requests.rate
        for _ in range(4):
            gate.welcome(await gate.enter(1), {})
        return fallen, gate.requests.rate

    # a slot is free after 20 ms: 50 a second; and a tenth more with each answer
    assert asyncio.run(go()) == pytest.approx((50.0, 50 * 1.1**4))


TOLD = {
    "x-ratelimit-limit-requests": "600",
    "x-ratelimit-remaining-requests": "500",
    "x-ratelimit-reset-requests": "10s",
}


def test_no_guess_undercuts_what_was_told_and_a_ceiling_falls_by_its_factor() -> None:
    async def go() -> list[float | None]:
        told, configured = Gate(), Gate(Ceilings(requests_per_minute=1200))
        told.welcome(await told.enter(1), TOLD)
        for gate in (told, configured):
            for turn in [await gate.enter(1) for _ in range(20)]:
                gate.refuse(turn, {"retry-after": "0"})
        return [told.requests.rate, configured.requests.rate]

    assert asyncio.run(go()) == pytest.approx([10.0, 20 * 0.7])


def test_one_refusal_leaves_what_may_leave_at_once_and_one_that_names_a_pause_holds_all() -> None:
    async def go() -> list[float]:
        gate, loop = Gate(Ceilings(requests_per_minute=60)), asyncio.get_running_loop()
        gate.refuse(await gate.enter(1), {"retry-after-ms": "300"})
        started = loop.time()
        await asyncio.gather(*(gate.enter(1) for _ in range(59)))
        return [loop.time() - started, gate.requests.take(1)]

    held, next_one = asyncio.run(go())
    assert held >= 0.3
    assert next_one > 0


def test_failures_at_random_leave_the_capacity_and_many_cut_it() -> None:
    async def go(share: float) -> float:
        draw, capacity = random.Random(5), Capacity(64, timeout_s=60)  # noqa: S311 (faults)
        lowest = 64.0
        for place in range(2000):
            entered = await capacity.enter()
            if draw.random() < share:
                capacity.trouble(entered)
            else:
                capacity.went_well(entered, 1.0)
            capacity.leave()
            lowest = min(lowest, capacity.limit) if place > 100 else lowest
        return lowest

    assert asyncio.run(go(0.09)) == 64
    assert asyncio.run(go(0.5)) < 8
