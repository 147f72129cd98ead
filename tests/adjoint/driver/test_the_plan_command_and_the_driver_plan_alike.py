"""`adjoint plan` and a gradient choose the same schedule for the same numbers, whatever they are.

What the driver measures is replaced by numbers, which the command is given.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adjoint.driver import measured
from adjoint.driver.options import Options
from adjoint.driver.prepare import plan_run
from adjoint.driver.run import Run
from adjoint.errors import ArgumentError
from adjoint.measurement.engines import Survey
from adjoint.measurement.probe import Probe
from adjoint.measurement.transfers import TransferCosts
from adjoint.parallel import communicator
from adjoint.reporting import plan_table
from adjoint.reporting.plan_table import PlanRequest
from adjoint.schedules import TapesInFile
from adjoint.schedules.costs import Costs
from adjoint.steppers import FunctionStepper, Scratch
from adjoint.storage.state_layout import StateLayout


class States(FunctionStepper):
    """The tape of a step is the state before it."""

    def __init__(self, count):
        super().__init__({"u": np.zeros(count, np.float16)}, {"c": np.zeros(1)})

    def step(self, step, state, out):
        raise AssertionError("no step is taken")

    def step_vjp(self, step, state, adjoint, gradient):
        raise AssertionError("no step is taken")


class Tapes(States):
    """The tape of a step is another size, and the step must be taken for it."""

    needs_last_state = True
    tape_memory = None

    def __init__(self, count, step_tape_bytes):
        super().__init__(count)
        self.step_tape_bytes = step_tape_bytes

    def tape_bytes(self, steps):
        return steps * self.step_tape_bytes


class Shown(Tapes):
    """A tape of one array a step, which may go to the file."""

    def __init__(self, count, step_tape_bytes):
        super().__init__(count, step_tape_bytes)
        self.tape_memory = Scratch(lambda: {"x": np.zeros(step_tape_bytes, np.uint8)})

    def tape_pieces(self, steps):
        return steps

    def release_tape(self, start, stop):
        raise AssertionError("no step is taken")

    def restore_tape(self, start, stop, pieces):
        raise AssertionError("no step is taken")


def transfers(seconds, slowdown):
    return TransferCosts(
        engine="given",
        write_seconds=seconds,
        read_seconds=seconds,
        write_while_computing=seconds,
        read_while_computing=seconds,
        post_seconds=0.0,
        wait_seconds=0.0,
        seen_seconds=0.0,
        slowdown=slowdown,
        read_slowdown=slowdown,
        read_seen_seconds=0.0,
        cached=False,
    )


def by_the_driver(stepper, num_steps, memory, costs, touch_speed, folder, monkeypatch):
    """Return the plan of a gradient, or the error."""
    found = Survey({"thread": transfers(costs.write, costs.slowdown)}, {})
    state, piece = layouts(stepper)

    def engines(*_, of_pieces=False):
        return found.scaled(piece.memory_bytes / state.memory_bytes) if of_pieces else found

    steps = Costs(
        advance=costs.advance,
        record=costs.record,
        unreached=costs.unreached,
        pull_back=costs.pull_back,
    )
    with monkeypatch.context() as patched:
        patched.setattr(Probe, "costs", lambda _: steps)
        patched.setattr(Probe, "costs_in_sweeps", as_planned)
        patched.setattr(Probe, "engines", engines)
        patched.setattr(measured, "remembered", lambda *_: None)
        patched.setattr(measured, "remember", lambda *_: None)
        for module in (measured, plan_table):
            patched.setattr(module, "touch_speed", lambda _: touch_speed)
        comm = communicator(None)
        file = {} if folder is None else {"file": folder}
        run = Run.of(stepper, num_steps, Options.parse({"memory": memory, **file}, comm), comm)
        try:
            return plan_run(run, evaluations=1).schedule
        except ArgumentError as refused:
            return str(refused)


def layouts(stepper):
    """Return the layouts of a state, and of a piece of a tape."""
    memory = stepper.tape_memory
    state = StateLayout.of(stepper.state)
    return state, state if memory is None else StateLayout.of(memory.make())


def as_planned(_probe, cases, _seconds):
    """Return that trials have found what was planned."""
    return cases[0].leaf_steps, cases[0].costs


def by_the_command(request, touch_speed, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(plan_table, "touch_speed", lambda _: touch_speed)
        try:
            return request.plans(request.memory_bytes)[0].schedule
        except ArgumentError as refused:
            return str(refused)


def scales(least, most):
    return st.floats(np.log(least), np.log(most)).map(np.exp)


runs = {
    "num_steps": scales(1, 1e5).map(int),
    "state_bytes": scales(2, 1e5).map(lambda size: 2 * int(size / 2 + 0.5)),
    "states": scales(0.5, 3e4),
    "step": scales(1e-7, 1.0),
    "pull_back": st.floats(0.5, 4),
    "tape": st.none() | st.floats(0.1, 4),
    "touch_speed": scales(1e8, 1e10),
}


def alike(run, file, monkeypatch):
    """Return what both have chosen."""
    n, state, step, tape = run["num_steps"], run["state_bytes"], run["step"], run["tape"]
    memory = max(1, int(run["states"] * state))
    step_tape = None if tape is None else max(1, int(tape * state))
    costs = Costs(
        advance=step,
        record=0.0 if tape is None else 0.2 * step,
        unreached=0.0 if tape is None else step,
        pull_back=run["pull_back"] * step,
        write=file.get("write", 0.0) * step,
        read=file.get("write", 0.0) * step,
        slowdown=file.get("slowdown", 1.0),
        read_slowdown=file.get("slowdown", 1.0),
    )
    kind = Shown if file.get("shown") else Tapes
    stepper = States(state // 2) if step_tape is None else kind(state // 2, step_tape)
    folder, disk = file.get("folder"), None if file else 0
    piece = step_tape if kind is Shown else None
    request = PlanRequest(n, state, memory, costs, step_tape, piece, disk)
    speed = run["touch_speed"]
    return (
        by_the_command(request, speed, monkeypatch),
        by_the_driver(stepper, n, memory, costs, speed, folder, monkeypatch),
    )


relaxed = {"suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=150, **relaxed)
@given(st.fixed_dictionaries(runs))
def test_in_memory(monkeypatch, run):
    command, driver = alike(run, {}, monkeypatch)
    assert command == driver


@settings(max_examples=15, **relaxed)
@given(st.fixed_dictionaries(runs), scales(0.3, 100), st.floats(1, 1.5))
def test_with_a_file(monkeypatch, tmp_path, run, write, slowdown):
    file = {"folder": tmp_path, "write": write, "slowdown": slowdown}
    command, driver = alike({**run, "num_steps": 20 + run["num_steps"] // 20}, file, monkeypatch)
    assert command == driver


@settings(max_examples=25, **relaxed)
@given(st.fixed_dictionaries(runs), scales(0.1, 10), st.floats(1, 1.5))
def test_with_tapes_in_the_file(monkeypatch, tmp_path, run, write, slowdown):
    file = {"folder": tmp_path, "write": write, "slowdown": slowdown, "shown": True}
    run |= {"num_steps": 20 + run["num_steps"] // 20, "tape": run["tape"] or 1.0}
    command, driver = alike(run, file, monkeypatch)
    assert command == driver


def test_both_send_tapes_to_a_quick_file(monkeypatch, tmp_path):
    run = {"num_steps": 1000, "state_bytes": 10_000, "states": 40.0, "step": 0.1}
    run |= {"pull_back": 2.0, "tape": 3.0, "touch_speed": 1e9}
    file = {"folder": tmp_path, "write": 0.1, "slowdown": 1.0, "shown": True}
    command, driver = alike(run, file, monkeypatch)
    assert command == driver
    assert isinstance(driver, TapesInFile)


@pytest.mark.parametrize("step", [1e-6, 1.0])
def test_a_short_run_leaves_the_file_alone(step, monkeypatch, tmp_path):
    run = {"num_steps": 1000, "state_bytes": 10_000, "states": 20.0, "step": step}
    run |= {"pull_back": 2.0, "tape": None, "touch_speed": 1e9}
    file = {"folder": tmp_path, "write": 1.0, "slowdown": 1.0}
    command, driver = alike(run, file, monkeypatch)
    assert command == driver
    assert bool(driver.file_states) == (step == 1.0)
