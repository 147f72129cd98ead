"""An evaluation on a simulated machine, timed as a real one is: its costs are found again.

The machine of `replay` plays the schedule, and its virtual clock is the clock that is looked at. Of
what is found, `replay` must say that it takes as long.
"""

import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums
from throttled_engine import Throttle

import adjoint
from adjoint.measurement import calibration
from adjoint.measurement.calibration import Calibration
from adjoint.schedules import Asynchronous, DiskRevolve, Mixed, Revolve, Spilling, StoreAll
from adjoint.schedules.costs import Costs
from adjoint.simulation.machine import Limits, Machine
from adjoint.simulation.replay import price
from adjoint.storage.engines.transfer import Statistics

IN_MEMORY = Costs(
    advance=1.0,
    record=0.25,
    unreached=0.5,
    pull_back=2.0,
    store=0.25,
    restore=0.125,
    driver_overhead=0.0625,
    turn=3.0,
)
WITH_FILE = replace(IN_MEMORY, write=8.0, read=6.0, post=0.125, slowdown=1.25, read_slowdown=1.125)


class Watched:
    """A simulated machine, and the statistics of an engine as they would be on it."""

    def __init__(self, costs):
        self.machine = Machine(costs, Limits())
        self.transfers = []
        self.posts = 0
        clock = self.machine.clock
        post = clock.post

        def noting(seconds, *, reading):
            self.posts += 1
            self.transfers.append(post(seconds, reading=reading))
            return self.transfers[-1]

        clock.post = noting

    def statistics(self):
        clock = self.machine.clock
        at_work = {
            kind: [t for t in self.transfers if t.reading is kind and t.begins < clock.now]
            for kind in (False, True)
        }
        done = {kind: [t for t in at_work[kind] if t.ends <= clock.now] for kind in at_work}
        spent = {
            kind: sum(min(t.ends, clock.now) - t.begins for t in at_work[kind]) for kind in at_work
        }
        finished = {kind: sum(t.ends - t.begins for t in done[kind]) for kind in done}
        return Statistics(
            wait_seconds=clock.stall,
            post_seconds=self.posts * self.machine.costs.post,
            writes_done=len(done[False]),
            reads_done=len(done[True]),
            write_seconds=spent[False],
            read_seconds=spent[True],
            finished_write_seconds=finished[False],
            finished_read_seconds=finished[True],
        )


def measured(monkeypatch, schedule, real, planned):
    """Return what an evaluation that takes `real` tells of its costs, and what it took."""
    watched = Watched(real)
    machine = watched.machine
    fake = SimpleNamespace(perf_counter=lambda: machine.clock.now)
    monkeypatch.setattr(calibration, "time", fake)
    found = Calibration(watched.statistics)
    for action in schedule:
        began = machine.clock.now
        machine.play(action)
        found.on_action(action, began, machine.clock.now)
    machine.finish()
    return found.costs(planned), machine.clock.now


@pytest.mark.parametrize(
    "schedule",
    [
        StoreAll(40),
        StoreAll(41, leaf_steps=4),
        Revolve(60, 4),
        Revolve(61, 3, leaf_steps=4),
        Mixed(60, 4, 1, unreached=0.5),
    ],
    ids=repr,
)
@pytest.mark.parametrize("restart_overhead", [0.0, 2.0])
def test_in_memory(monkeypatch, schedule, restart_overhead):
    planned = Costs(
        advance=3.0, record=0.1, unreached=1.5, pull_back=1.0, restart_overhead=restart_overhead
    )
    found, seconds = measured(monkeypatch, schedule, IN_MEMORY, planned)
    assert price(schedule, IN_MEMORY).makespan == seconds
    assert price(schedule, found).makespan == pytest.approx(seconds, rel=1e-12)
    assert found.pull_back == pytest.approx(2.0)
    assert found.restart_overhead / found.advance == pytest.approx(restart_overhead / 3)
    assert (found.write, found.read, found.slowdown) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "schedule",
    [
        Asynchronous(200, 6, 10),
        DiskRevolve(120, 3, write=8.0, read=6.0),
        Spilling(400, 5, 8.0, costs=WITH_FILE),
        Spilling(401, 5, 12.0, costs=WITH_FILE, leaf_steps=4),
        Spilling(300, 2, 4.0, costs=WITH_FILE),
    ],
    ids=lambda schedule: type(schedule).__name__ + str(schedule.num_steps),
)
def test_with_a_file(monkeypatch, schedule):
    planned = replace(WITH_FILE, advance=3.0, record=0.1, unreached=1.5, write=20.0, read=1.0)
    found, seconds = measured(monkeypatch, schedule, WITH_FILE, planned)
    assert price(schedule, found).makespan == pytest.approx(seconds, rel=0.02)
    assert found.write == pytest.approx(8.0)
    assert found.read == pytest.approx(6.0)
    assert found.post == pytest.approx(0.125)


def test_what_was_not_met_costs_as_planned(monkeypatch):
    planned = replace(WITH_FILE, advance=5.0, write=7.0)
    found, _ = measured(monkeypatch, StoreAll(1), IN_MEMORY, planned)
    assert (found.advance, found.unreached) == (5.0, 0.5)
    assert (found.write, found.read, found.post) == (7.0, 6.0, 0.125)


def test_evaluations_are_predicted_anew(tmp_path):
    num_steps, stepper = 600, CoupledPendulums(400, 600)
    state = sum(array.nbytes for array in stepper.state.values())
    options = {"memory": 10 * state, "file": tmp_path, "engine": Throttle(0.002, 0.002)}
    expected = adjoint.gradient(
        CoupledPendulums(400, num_steps), num_steps, schedule=StoreAll(num_steps)
    )
    predicted = []
    with adjoint.Functional(stepper, num_steps, **options) as functional:
        for _ in range(3):
            cost, gradient = functional.value_and_gradient()
            assert functional.report is not None
            sent = pickle.loads(pickle.dumps(functional.report))  # as mpi4py sends it
            predicted.append(functional.report.predicted_seconds)
            assert sent.predicted_seconds == predicted[-1]
            assert cost == expected.cost
            for name, array in expected.gradient.items():
                np.testing.assert_array_equal(gradient[name], array)
    assert len(set(predicted)) == 3
    assert all(0 < seconds < np.inf for seconds in predicted)


def test_a_file_that_has_become_slow_is_given_up(tmp_path):
    num_steps, stepper = 120, CoupledPendulums(400, 120, pause=0.002)
    state = sum(array.nbytes for array in stepper.state.values())
    engine = Throttle(0.0005, 0.0005)
    with adjoint.Functional(
        stepper, num_steps, memory=10 * state, file=tmp_path, engine=engine
    ) as functional:
        assert functional.plan().schedule.file_states > 0
        object.__setattr__(engine, "factor", 200)
        first = functional.value_and_gradient()
        assert functional.schedule.file_states > 0, "the first touch of memory is in its time"
        functional.value_and_gradient()
        assert functional.schedule.file_states == 0
        again = functional.value_and_gradient()
        report = functional.report
        assert report is not None
        assert report.bytes_written == 0
        assert "not used any more" in report.reason
        assert again[0] == first[0]
        for name, array in first[1].items():
            np.testing.assert_array_equal(again[1][name], array)


def test_a_file_that_a_run_can_be_resumed_from_is_not_given_up(tmp_path):
    num_steps, stepper = 120, CoupledPendulums(400, 120, pause=0.002)
    state = sum(array.nbytes for array in stepper.state.values())
    engine = Throttle(0.0005, 0.0005)
    with adjoint.Functional(
        stepper, num_steps, memory=10 * state, file=tmp_path / "run.h5", engine=engine
    ) as functional:
        assert functional.plan().schedule.file_states > 0
        object.__setattr__(engine, "factor", 200)
        functional.value_and_gradient()
        assert functional.schedule.file_states > 0


def test_states_stay_as_far_apart_in_writes():
    schedule = Spilling(10_000, 8, 20.0, costs=Costs(advance=1.0, write=20.0, read=20.0))
    seconds = Costs(advance=0.5, pull_back=1.0, write=8.0, read=9.0)
    closer = schedule.recalibrated(seconds, 10_000, keep_ratios=False)
    assert closer.costs == seconds
    assert closer.interval == pytest.approx(16.0, abs=0.1)
    told = schedule.recalibrated(seconds, 10_000, keep_ratios=True)
    assert told.interval == schedule.interval
    assert (told.costs.write, told.costs.read) == (10.0, 10.0)


def test_spacing_changes_by_a_factor_of_two_at_the_most():
    schedule = Spilling(10_000, 8, 20.0, costs=Costs(advance=1.0, write=20.0, read=20.0))
    for write, interval in ((500.0, 40.0), (0.5, 10.0)):
        costs = Costs(advance=1.0, write=write, read=20.0)
        found = schedule.recalibrated(costs, 10_000, keep_ratios=False)
        assert found.interval == pytest.approx(interval)


def test_states_that_disturb_come_no_closer():
    schedule = Spilling(10_000, 8, 20.0, costs=Costs(advance=1.0, write=20.0, read=20.0))
    costs = Costs(advance=1.0, write=15.0, read=20.0, slowdown=1.5)
    found = schedule.recalibrated(costs, 10_000, keep_ratios=False)
    assert found.costs == costs
    assert found.interval == schedule.interval


def test_a_file_without_room_leaves_the_schedule_as_it_is():
    schedule = Spilling(10_000, 8, 20.0, costs=Costs(advance=1.0, write=20.0, read=20.0))
    costs = Costs(advance=1.0, write=15.0, read=20.0)
    found = schedule.recalibrated(costs, schedule.file_states, keep_ratios=False)
    assert found.file_states <= schedule.file_states


def test_tables_are_made_anew_only_if_they_must():
    given = Costs(advance=1.0, unreached=1.0, pull_back=1.0, write=40.0, read=40.0)
    schedule = Spilling(1_000, 4, 40.0, costs=given, tape_slots=1)
    tapes = schedule.tapes
    for write, same in ((41.0, True), (60.0, False)):
        found = schedule.recalibrated(replace(given, write=write), 1_000, keep_ratios=False)
        assert (found.tapes is tapes) == same
        price(found, found.costs, num_slots=4, tape_slots=1)
