"""Tapes in the file that are lost, whatever the reason, are recorded again: the same bits.

The tapes are those of a network: several arrays, of which none is a state.
"""

import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from driven_ring import CrashError
from faulty_engine import Faults
from recurrent_unrolled import Problem
from throttled_engine import Throttle

import adjoint
from adjoint import cli
from adjoint.errors import ArgumentError, StepperError
from adjoint.parallel import status_exchange
from adjoint.schedules import Revolve, StoreAll, TapesInFile
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

LEAF, NUM_STEPS = 3, 299
LEAVES = 100
PROBLEM = Problem("gru", num_layers=2, num_steps=NUM_STEPS)
QUICK = Costs(1e-3, unreached=1e-3, pull_back=1e-3, write=1e-4, piece_write=1e-4, piece_read=1e-4)


@pytest.fixture(autouse=True)
def _records_and_exchanges_are_frequent(monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)


def schedule(network, kept=3, costs=QUICK):
    state = sum(array.nbytes for array in network.state.values())
    slots = -(-network.tape_bytes(LEAF) // state)
    return TapesInFile(NUM_STEPS, 1 + kept * slots, slots, costs=costs, leaf_steps=LEAF)


def gradient(file, *, crash_at=None, costs=QUICK, **options):
    network = PROBLEM.network(leaf_steps=LEAF)
    if crash_at is not None:
        crash(network, crash_at)
    return adjoint.gradient(
        network, NUM_STEPS, schedule=schedule(network, costs=costs), file=file, **options
    )


def crash(network, at):
    """Have the network crash at its `at`-th call of those that compute."""
    left = [at]

    def counted(method):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                raise CrashError
            return method(*arguments, **options)

        return call

    for name in ("record", "pull_back"):
        setattr(network, name, counted(getattr(network, name)))


def bits(result):
    return [result.cost, *(result.gradient[name].tobytes() for name in sorted(result.gradient))]


@pytest.fixture(scope="module")
def expected():
    network = PROBLEM.network(leaf_steps=LEAF)
    return bits(adjoint.gradient(network, NUM_STEPS, schedule=StoreAll(NUM_STEPS, leaf_steps=LEAF)))


def test_no_step_is_taken_twice_on_a_good_disk(tmp_path, expected):
    result = gradient(tmp_path)
    assert bits(result) == expected
    report = result.report
    assert (report.advanced_steps, report.recorded_steps) == (0, NUM_STEPS)
    assert (report.lost_states, report.lost_tapes) == ((), ())
    assert report.bytes_written > LEAVES // 2 * PROBLEM.network().tape_bytes(1) // 2


@pytest.mark.parametrize(
    "faults",
    [
        Faults(failed_reads=(1, 5)),
        Faults(failed_writes=(2, 30, 31)),
        Faults(flipped_writes=(4, 50)),
        Faults(full_after_bytes=4000),
    ],
    ids=["EIO when reading", "EIO when writing", "flipped bits", "disk full"],
)
def test_a_failing_disk_costs_the_tapes_that_it_loses(faults, tmp_path, expected):
    result = gradient(tmp_path / "run.h5", engine=faults)
    assert bits(result) == expected
    lost = result.report.lost_tapes
    assert lost
    assert all(start % LEAF == 0 for start in lost)
    assert "tape" in str(result.report)
    if faults.full_after_bytes is None:
        assert result.report.recorded_steps < 1.5 * NUM_STEPS


@pytest.mark.parametrize("seed", range(12))
def test_random_faults(seed, tmp_path, expected):
    faults = Faults.random(seed, ranks=1, transfers=120, state_bytes=4096)
    assert bits(gradient(tmp_path / "run.h5", engine=faults)) == expected


@pytest.mark.parametrize("at", [5, 30, 98, 101, 130, 170, 199])
def test_a_killed_run_resumes_with_its_tapes(at, tmp_path, expected):
    path = tmp_path / "run.h5"
    with pytest.raises(CrashError):
        gradient(path, crash_at=at, max_lost_share=0.01)
    result = gradient(path, resume=True)
    assert bits(result) == expected
    assert result.report.resumed_from
    in_reverse = at > LEAVES
    left = NUM_STEPS - LEAF * (0 if in_reverse else at - 1)
    # with the tapes that were still in memory, and those since the last record
    assert result.report.recorded_steps < left * (not in_reverse) + 0.4 * NUM_STEPS


def test_a_damaged_tape_of_a_killed_run_is_recorded_again(tmp_path, expected, capsys):
    path = tmp_path / "run.h5"
    with pytest.raises(CrashError):
        gradient(path, crash_at=150, max_lost_share=0.01)
    damage(path)
    assert cli.main(["inspect", str(path), "--verify"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^tapes +\d+: ", printed, re.MULTILINE)
    assert re.search(r"piece 0 of the tape from step \d+, row \d+, rank 0", printed)
    result = gradient(path, resume=True)
    assert bits(result) == expected
    assert result.report.lost_tapes


def damage(path):
    """Change a byte of every second row that holds a tape."""
    with h5py.File(path, "r+") as file:
        steps = file["index"]["step"][:, 0]
        for row in np.flatnonzero(steps < 0)[::2]:
            file["snapshots"][row, 100] ^= 1


@pytest.mark.parametrize("after", [0, 20])
def test_a_slow_disk_ends_in_states_alone(after, tmp_path, expected):
    throttle = Throttle(0.002, 0.001, after_writes=after, factor=10)
    result = gradient(tmp_path, engine=throttle, costs=QUICK)
    assert bits(result) == expected
    assert result.report.cost_changes > 0


def test_later_evaluations_follow_the_costs_of_the_first(tmp_path, expected):
    network = PROBLEM.network(leaf_steps=LEAF)
    with adjoint.Functional(
        network, NUM_STEPS, schedule=schedule(network), file=tmp_path
    ) as functional:
        for _ in range(3):
            cost, found = functional.value_and_gradient()
            assert [cost, *(found[name].tobytes() for name in sorted(found))] == expected


def test_a_file_of_tapes_serves_a_run_without_and_the_reverse(tmp_path, expected):
    path = tmp_path / "run.h5"
    network = PROBLEM.network(leaf_steps=LEAF)
    revolve = Revolve(NUM_STEPS, 7, leaf_steps=LEAF)
    for each in (schedule(network), revolve, schedule(network)):
        assert bits(adjoint.gradient(network, NUM_STEPS, schedule=each, file=path)) == expected


def test_a_run_without_tapes_is_not_resumed_with_some(tmp_path):
    path = tmp_path / "run.h5"
    network = PROBLEM.network(leaf_steps=LEAF)
    crash(network, 90)
    with pytest.raises(CrashError):
        adjoint.gradient(
            network, NUM_STEPS, schedule=Revolve(NUM_STEPS, 7, leaf_steps=LEAF), file=path
        )
    with pytest.raises(ArgumentError, match="has no tapes"):
        gradient(path, resume=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tape_pieces": 2}, "tape_pieces=1"),
        ({"leaf_steps": 1}, "insists on leaves of 3"),
        ({"tape_slots": 1, "num_slots": 3}, "slots for a tape that takes"),
    ],
)
def test_a_schedule_that_does_not_fit_the_stepper_is_refused(change, says, tmp_path):
    network = PROBLEM.network(leaf_steps=LEAF)
    wrong = replace(schedule(network), **change)
    with pytest.raises(ArgumentError, match=says):
        adjoint.gradient(network, NUM_STEPS, schedule=wrong, file=tmp_path)


def test_a_stepper_that_gives_other_pieces_than_announced_is_refused(tmp_path):
    network = PROBLEM.network(leaf_steps=LEAF)
    release = network.release_tape
    network.release_tape = lambda start, stop: release(start, stop)[:0]
    with pytest.raises(StepperError, match=r"consists of 0 pieces, tape_pieces\(3\) is 1"):
        adjoint.gradient(network, NUM_STEPS, schedule=schedule(network), file=tmp_path)
