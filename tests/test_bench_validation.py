from pathlib import Path

from midefics.bench.validation import _draw, _measure


def test_the_rows_drawn_for_the_measurement_hold_what_it_says(tmp_path: Path) -> None:
    figures = _measure(str(tmp_path), _draw(tmp_path, 300).model_dump_json())
    # rows 99, 199 and 299 are copies; 24, 74, … 274 show the shot before them
    assert (figures["let through"], figures["rejected"]) == (297, "{'duplicate image': 3}")
    assert "6 near-duplicate image" in str(figures["warned"])
