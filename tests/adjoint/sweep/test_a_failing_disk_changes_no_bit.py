"""With failing writes and reads, flipped bits or a full disk, the gradient has the same bits.

The reference is the gradient with every state kept in memory. `disk_faults` draws the faults;
`tests/benchmarks/failing_disks_and_kills.py` draws hundreds.
"""

import pytest
from adaptive_pendulum import AdaptivePendulum
from disk_faults import NUM_STEPS, failed
from fault_run import bytes_of, evaluate
from faulty_engine import Faults

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Spilling, StoreAll
from adjoint.schedules.costs import Costs

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
        (Faults(failed_reads=(1, 2)), 1),  # the second may have been dropped with the first
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


# Runs of unknown length ---------------------------------------------------------------------------

COSTS = Costs(advance=1.0, pull_back=1.0, write=2.0, read=2.0)

OPEN_ENDED = [
    Spilling(None, 3, 3.0, costs=COSTS, max_file_states=8),
    Spilling(None, 4, 8.0, costs=COSTS, max_file_states=5, leaf_steps=4),
]


@pytest.fixture(scope="module")
def num_steps():
    stepper = AdaptivePendulum()
    stepper.start()
    stepper.advance(0, 1000)
    return stepper.position


def open_ended(schedule, file, faults):
    return adjoint.gradient(AdaptivePendulum(), None, schedule=schedule, file=file, engine=faults)


@pytest.mark.parametrize("schedule", OPEN_ENDED, ids=["leaves of 1", "leaves of 4"])
@pytest.mark.parametrize("seed", range(20))
def test_random_faults_in_a_run_of_unknown_length(seed, schedule, num_steps, tmp_path, monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    faults = Faults.random(seed, ranks=1, transfers=9, state_bytes=4096)
    stored = StoreAll(num_steps, leaf_steps=schedule.leaf_steps)
    expected = bytes_of(adjoint.gradient(AdaptivePendulum(), num_steps, schedule=stored))
    assert bytes_of(open_ended(schedule, tmp_path / "run.h5", faults)) == expected


def test_faults_in_a_run_of_unknown_length_lose_states(num_steps, tmp_path):
    """Otherwise the test before this one would show nothing."""
    lost = open_ended(
        OPEN_ENDED[0], tmp_path / "run.h5", Faults(failed_writes=(3, 5), failed_reads=(1,))
    )
    assert len(lost.report.lost_states) >= 2
