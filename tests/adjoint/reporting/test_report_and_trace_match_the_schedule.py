"""The figures of a report and the events of a trace are those of the schedule that was used."""

import json
from collections import Counter

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.parallel import communicator
from adjoint.reporting.trace_file import read_trace, write_trace
from adjoint.schedules import Asynchronous, Costs, Revolve
from adjoint.schedules.actions import Advance, Record
from adjoint.simulation.simulated_timeline import simulate
from adjoint.simulation.timeline import Track

NUM_STEPS = 40


def test_counts_are_those_of_the_actions():
    schedule = Revolve(NUM_STEPS, 3, leaf_steps=2)
    report = adjoint.gradient(Pendulums(2, NUM_STEPS), NUM_STEPS, schedule=schedule).report
    actions = list(schedule)
    advanced = sum(action.stop - action.start for action in actions if isinstance(action, Advance))
    assert report.actions == len(actions)
    assert report.advanced_steps == advanced
    assert report.recorded_steps == NUM_STEPS
    assert report.recomputation_factor == pytest.approx(1 + advanced / NUM_STEPS)
    assert report.bytes_written == 0
    assert report.hidden_share == 1
    assert report.state_bytes >= 2 * 8 + 2 * 8 + 8


def test_every_byte_to_the_file_is_counted(tmp_path):
    schedule = Asynchronous(NUM_STEPS, 3, 5)
    stepper = Pendulums(500, NUM_STEPS)
    report = adjoint.gradient(stepper, NUM_STEPS, schedule=schedule, file=tmp_path).report
    assert report.bytes_written == schedule.file_states * report.state_bytes
    assert 0 <= report.hidden_share <= 1
    assert report.transfer_seconds > 0
    assert "written" in str(report)


def test_the_trace_has_every_action_and_transfer(tmp_path):
    schedule = Asynchronous(NUM_STEPS, 3, 5)
    path = tmp_path / "run.json"
    result = adjoint.gradient(
        Pendulums(2, NUM_STEPS), NUM_STEPS, schedule=schedule, file=tmp_path / "run.h5", trace=path
    )
    events = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    expected = Counter(type(action).__name__ for action in schedule)
    found = Counter(event["name"] for event in events if event["cat"] == "compute")
    assert found.pop("Journal") >= 1
    assert found == expected
    written = [event["args"]["start"] for event in events if event["name"] == "Write"]
    assert sorted(written) == [5 * k for k in range(schedule.file_states)]
    assert all(event["dur"] >= 0 for event in events)
    assert result.timeline is not None
    forward = [event for event in result.timeline if event.name in ("Advance", "Record")]
    assert forward[0].start_step == 0
    assert max(event.stop_step for event in forward) == NUM_STEPS


def test_recorded_simulated_and_read_timelines_have_the_same_events(tmp_path):
    schedule = Revolve(NUM_STEPS, 3, leaf_steps=2)
    path = tmp_path / "run.json"
    recorded = adjoint.gradient(
        Pendulums(2, NUM_STEPS), NUM_STEPS, schedule=schedule, trace=path
    ).timeline
    simulated = simulate(schedule, Costs()).select_track(Track.COMPUTATION)
    assert [event[:3] for event in recorded] == [event[:3] for event in simulated]
    read = read_trace(path).ranks[0]
    assert [event[:3] for event in read] == [event[:3] for event in recorded]
    # The file has times to the nanosecond.
    np.testing.assert_allclose(read.begins, recorded.begins, rtol=0, atol=1e-9)
    np.testing.assert_allclose(read.ends, recorded.ends, rtol=0, atol=2e-9)


def test_snapshots_of_a_simulated_run_are_written_and_read_too(tmp_path):
    simulated = simulate(Asynchronous(20, 3, 5), Costs(write=1, read=1))
    write_trace(tmp_path / "run.json", simulated, communicator(None))
    assert list(read_trace(tmp_path / "run.json").ranks[0]) == list(simulated)


def test_the_progress_bar_counts_every_step_twice(capsys):
    adjoint.gradient(
        Pendulums(2, NUM_STEPS), NUM_STEPS, schedule=Revolve(NUM_STEPS, 2), progress=True
    )
    shown = capsys.readouterr().err
    assert f"{2 * NUM_STEPS}/{2 * NUM_STEPS}" in shown


def test_recorded_steps_are_actions_of_their_own():
    schedule = Revolve(9, 8)
    assert sum(isinstance(action, Record) for action in schedule) == 9
