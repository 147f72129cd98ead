"""Ctrl-C, or a handler of a signal that raises, may come anywhere: the next call is right.

A sample; `tests/benchmarks/interrupt_campaign.py` takes as many places as one likes.
"""

import shutil

import interrupt_forks
import pytest

EACH = 1


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc, which is absent")
def test_the_next_call_is_right_and_close_leaves_nothing(tmp_path):
    with interrupt_forks.Forks(tmp_path / "forks") as forks:
        numbers = interrupt_forks.numbers_of_instructions(forks, interrupt_forks.CASES)
        points = interrupt_forks.drawn(numbers, EACH * len(numbers), seed=7)
        ends = {point: forks.play(point) for point in points}
    assert {point: end for point, end in ends.items() if end["trouble"]} == {}
    caught = [end["caught"] for end in ends.values()]
    assert caught.count("") < len(caught) / 4
    assert {"KeyboardInterrupt", "AlarmError"} <= set(caught)
