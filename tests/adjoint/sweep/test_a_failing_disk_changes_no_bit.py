"""Writes and reads that fail, flipped bits, a full disk: the gradient is bitwise the same.

The reference is the gradient for which every state is kept in memory. `disk_faults` draws what goes
wrong; `tests/benchmarks/fault_campaign.py` draws hundreds.
"""

import pytest
from disk_faults import NUM_STEPS, failed
from fault_run import bytes_of, evaluate
from faulty_engine import Faults

SEEDS = range(40)

CASE = {"seed": 2, "steps": NUM_STEPS}


@pytest.fixture(scope="module")
def references():
    return {}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_faults(seed, tmp_path, references):
    trouble, name, faults, _report = failed(seed, None, tmp_path, references)
    assert trouble is None, (name, faults)


@pytest.mark.parametrize("schedule", ["Spilling", "Asynchronous"])
@pytest.mark.parametrize(
    ("faults", "least"),
    [
        (Faults(failed_reads=(1, 2)), 1),  # the second may be under way, and is posted again
        (Faults(flipped_writes=(3, 4)), 2),
        (Faults(failed_writes=(2, 5)), 2),
        (Faults(full_after_bytes=40000), 3),
        (Faults(full_after_bytes=0), 1),
    ],
    ids=["EIO when reading", "flipped bits", "EIO when writing", "disk full", "no space at all"],
)
def test_the_report_names_what_was_lost(schedule, faults, least, tmp_path, references):
    expected = bytes_of(evaluate(CASE, None, tmp_path))
    result = evaluate({**CASE, "schedule": schedule}, None, tmp_path, engine=faults)
    assert bytes_of(result) == expected
    lost = result.report.lost_states
    assert len(lost) >= least
    assert f"recomputed: {lost[0]}" in str(result.report)


def test_nothing_is_lost_on_a_good_disk(tmp_path):
    result = evaluate({**CASE, "schedule": "Spilling"}, None, tmp_path, engine=Faults())
    assert result.report.lost_states == ()
    assert "lost" not in str(result.report)
