"""Simulated engines that hide transfers, or do not, are measured to be what they are."""

from functools import partial
from types import SimpleNamespace

import pytest
from simulated_overlap import Machine

from adjoint.errors import SnapshotFileError, TransferError
from adjoint.measurement import transfers
from adjoint.measurement.engines import choose_engine, measure_engines
from adjoint.measurement.transfers import Computation, measure_engine
from adjoint.parallel import communicator

STEP = 0.0005


@pytest.fixture
def measured(monkeypatch):
    """Measure an engine of some kind on a simulated clock."""

    def make(*machine, step=STEP, grid=1, **options):
        machine = Machine(*machine, **options)
        monkeypatch.setattr(transfers, "time", machine)
        computation = Computation(partial(machine.run, step_seconds=step), step, grid)
        return measure_engine(machine, blocks(), computation, communicator(None))

    return make


def blocks():
    return [SimpleNamespace(busy=False, is_lost=False) for _ in range(2)]


@pytest.mark.parametrize("write", [0.0001, 0.002, 0.05])
def test_hidden_transfers(measured, write):
    found = measured("hidden", write, write / 2)
    assert found.write_seconds == pytest.approx(write)
    assert found.read_seconds == pytest.approx(write / 2)
    assert found.write_while_computing == pytest.approx(write)
    assert found.read_while_computing == pytest.approx(write / 2)
    assert found.hidden_share == pytest.approx(1)
    assert found.read_hidden_share == pytest.approx(1)
    assert found.slowdown == pytest.approx(1)
    assert found.overlaps
    assert "hides 100%" in found.in_words()


def test_one_slow_moment_is_no_slowdown(monkeypatch):
    machine = Machine("hidden", 0.02, 0.02)
    compute, moments = machine.compute, [0.03]

    def once_slowly(seconds):
        compute(seconds)
        if machine.left and moments:
            machine.now += moments.pop()

    machine.compute = once_slowly
    monkeypatch.setattr(transfers, "time", machine)
    computation = Computation(partial(machine.run, step_seconds=STEP), STEP)
    found = measure_engine(machine, blocks(), computation, communicator(None))
    assert not moments
    assert found.slowdown == pytest.approx(1)


@pytest.mark.parametrize("write", [0.0001, 0.002, 0.05])
def test_work_inside_the_call_that_posts(measured, write):
    found = measured("in the call", write, write)
    assert found.post_seconds == pytest.approx(write)
    assert found.wait_seconds == pytest.approx(0, abs=1e-9)
    assert found.seen_seconds == pytest.approx(write)
    assert found.hidden_share == pytest.approx(0, abs=1e-6)
    assert not found.overlaps
    assert "inside the call" in found.in_words()


@pytest.mark.parametrize("write", [0.0001, 0.002, 0.05])
def test_work_in_the_wait(measured, write):
    found = measured("in the wait", write, write)
    assert found.wait_seconds == pytest.approx(write)
    assert found.hidden_share == pytest.approx(0, abs=1e-6)
    assert not found.overlaps
    assert "in the wait" in found.in_words()


@pytest.mark.parametrize("write", [0.0005, 0.002, 0.05])
def test_work_on_the_core_of_the_computation(measured, write):
    found = measured("on the core", write, write)
    assert found.slowdown == pytest.approx(2, rel=0.02)
    assert found.read_slowdown == pytest.approx(2, rel=0.02)
    assert found.write_while_computing == pytest.approx(2 * write, rel=0.02)
    assert found.seen_seconds == pytest.approx(write, rel=0.02)
    assert "takes the processor" in found.in_words()


def test_the_time_of_posting_is_seen(measured):
    found = measured("hidden", 0.002, 0.002, post_seconds=0.0005)
    assert found.post_seconds == pytest.approx(0.0005)
    assert found.seen_seconds == pytest.approx(0.0005)
    assert found.slowdown == pytest.approx(1)


def test_steps_much_longer_than_transfers_show_no_slowdown(measured):
    found = measured("hidden", 1e-5, 1e-5, step=2.0)
    assert found.hidden_share == pytest.approx(1)


def test_steps_are_taken_on_their_grid(measured):
    taken = []

    def run(steps, pause):
        taken.append(steps)
        pause()

    machine = Machine("hidden", 0.001, 0.001)
    measure_engine(machine, blocks(), Computation(run, STEP, grid=7), communicator(None))
    assert taken
    assert all(steps % 7 == 0 for steps in taken)


def test_failure_of_a_transfer_is_raised(measured, monkeypatch):
    machine = Machine("hidden", 0.001, 0.001)
    machine.failure = TransferError("the disk is on fire")
    monkeypatch.setattr(transfers, "time", machine)
    computation = Computation(partial(machine.run, step_seconds=STEP), STEP)
    with pytest.raises(TransferError, match="on fire"):
        measure_engine(machine, blocks(), computation, communicator(None))


# Which is used ------------------------------------------------------------------------------------


def look(monkeypatch, *, exhaustive=True, **machines):
    """Measure simulated engines, one after the other, on one clock."""
    clock = SimpleNamespace(now=0.0)
    current, opened = [], []

    def open_store(name):
        machine = machines[name]
        if isinstance(machine, Exception):
            raise machine
        machine.now = clock.now
        current[:] = [machine]
        opened.append(machine)
        return machine

    def now():
        if current:
            clock.now = max(clock.now, current[0].now)
        return clock.now

    def run(steps, pause):
        current[0].run(steps, pause, step_seconds=STEP)

    simulated = SimpleNamespace(perf_counter=now)
    monkeypatch.setattr(transfers, "time", simulated)
    names, computation = list(machines), Computation(run, STEP)
    survey = measure_engines(
        names, open_store, blocks(), computation, communicator(None), exhaustive=exhaustive
    )
    assert all(machine.closed == 1 for machine in opened)
    return survey


def test_an_engine_that_does_not_overlap_is_replaced(monkeypatch):
    survey = look(
        monkeypatch,
        mpi=Machine("in the call", 0.001, 0.001, name="nonblocking MPI I/O"),
        thread=Machine("hidden", 0.003, 0.001, name="a transfer thread"),
    )
    choice = choose_engine(survey)
    assert choice.engine == "thread"
    assert choice.costs is survey.found["thread"]
    assert choice.reason == (
        "a transfer thread hides 100% of a write; "
        "nonblocking MPI I/O does the work inside the call (hides 0% of a write)"
    )


def test_of_two_engines_that_hide_writes_equally_the_faster_is_used(monkeypatch):
    survey = look(
        monkeypatch,
        direct=Machine("hidden", 0.006, 0.001, name="direct"),
        thread=Machine("hidden", 0.002, 0.001, name="buffered"),
    )
    choice = choose_engine(survey)
    assert choice.engine == "thread"
    assert "direct hides 100% of a write, but takes 3 times as long" in choice.reason


def test_if_no_engine_hides_writes_the_least_seen_is_used(monkeypatch):
    survey = look(
        monkeypatch,
        direct=Machine("on the core", 0.004, 0.001, name="direct"),
        thread=Machine("on the core", 0.002, 0.001, name="buffered"),
    )
    assert choose_engine(survey).engine == "thread"


def test_an_engine_that_refuses_the_file_is_skipped(monkeypatch):
    refusal = SnapshotFileError("cannot reserve space")
    survey = look(monkeypatch, mpi=refusal, thread=Machine("hidden", 0.001, 0.001))
    assert choose_engine(survey).engine == "thread"
    assert survey.refused == {"mpi": refusal}


def test_if_all_engines_refuse_the_error_of_the_first_is_raised(monkeypatch):
    survey = look(monkeypatch, mpi=SnapshotFileError("no space"), thread=SnapshotFileError("no"))
    with pytest.raises(SnapshotFileError, match="no space"):
        choose_engine(survey)


def test_no_other_engine_is_measured_once_one_hides_its_writes(monkeypatch):
    survey = look(
        monkeypatch,
        exhaustive=False,
        mpi=Machine("in the call", 0.01, 0.01),
        thread=Machine("hidden", 0.5, 0.5),
        direct=Machine("hidden", 0.0001, 0.0001),
    )
    assert list(survey.found) == ["mpi", "thread"]


def test_costs_scale_with_the_size_of_the_state(monkeypatch):
    found = look(monkeypatch, thread=Machine("on the core", 0.002, 0.001)).found["thread"]
    scaled = found.scaled(8)
    assert scaled.write_seconds == 8 * found.write_seconds
    assert scaled.write_while_computing == 8 * found.write_while_computing
    assert scaled.hidden_share == pytest.approx(found.hidden_share)
    assert scaled.slowdown == found.slowdown
