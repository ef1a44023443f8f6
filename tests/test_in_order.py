from collections.abc import Iterator

from midefics.records import Turn
from midefics.services.conversations import Written
from midefics.services.in_order import LOT, Asked, InOrder, SettledPrefix
from tests.budget_worker import request

WRITTEN = Written((Turn(question="What?", answer="A nevus."),))


def test_the_watermark_waits_for_the_first_gap() -> None:
    mark, reached = SettledPrefix(), []
    for place in (1, 2, 0, 4, 3):
        mark.settle(place)
        reached.append(mark.reached)
    assert reached == [0, 0, 3, 3, 5]


def test_all_are_handed_on_in_order_and_none_before_those_in_front_are_settled() -> None:
    asked: list[Asked[int]] = [(number, None if number % 3 == 0 else request(number)) for number in range(3 * LOT)]
    taken: list[tuple[int, Written | None]] = []

    def became(lot: list[Asked[int]]) -> Iterator[Written | None]:
        return (WRITTEN if one else None for _, one in lot)

    rows = InOrder(asked, became, lambda asker, written: taken.append((asker, written)))
    rows.go_on(LOT - 1)
    assert taken == []
    rows.go_on(LOT)  # two of three ask: the first lot holds two thirds of a lot's requests
    assert [asker for asker, _ in taken] == list(range(LOT))
    rows.end()
    assert taken == [(number, WRITTEN if one else None) for number, one in asked]
