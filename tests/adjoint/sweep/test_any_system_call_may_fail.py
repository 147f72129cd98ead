"""Any system call on the file may fail, fall short or be the last: no wrong gradient, no hang.

A sample; `tests/benchmarks/fault_campaign.py` takes every call of the same runs.
"""

import sys

import fault_forks
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is of Linux")

EACH = 60


@pytest.mark.parametrize("engine", ["thread", "direct"])
def test_right_or_refused_and_right_when_resumed(engine, tmp_path):
    runs = [run for run in fault_forks.every_run([engine]) if run.schedule != "Spilling"]
    with fault_forks.Forks(tmp_path / "forks") as forks:
        numbers = {run: forks.number_of_calls(run) for run in runs}
        points = fault_forks.drawn(fault_forks.every_point(runs, numbers), EACH, seed=6)
        ends = {point: forks.play(point) for point in points}
    assert {point: outcome for point, outcome in ends.items() if outcome.trouble} == {}
    assert fault_forks.RIGHT in {outcome.end for outcome in ends.values()}
