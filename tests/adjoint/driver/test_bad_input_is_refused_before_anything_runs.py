"""Every kind of bad input raises an error that says what to do, before anything is computed."""

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.errors import ArgumentError, NonFiniteError, SnapshotFileError, StepperError
from adjoint.schedules import Asynchronous, Revolve
from adjoint.verification import bitwise_test

ONE_SLOT = 68_000
"""Room for a state of 64 KB and the tape of one step."""


class Untouched(Pendulums):
    """Fails if it is ever stepped."""

    def step(self, step, state, out):
        raise AssertionError("stepped in spite of bad input")


@pytest.mark.parametrize("num_steps", [0, -3, 2.5, "ten", None])
def test_a_number_of_steps_that_is_none(num_steps):
    with pytest.raises(ArgumentError, match="num_steps"):
        adjoint.gradient(Untouched(2, 10), num_steps)


@pytest.mark.parametrize("memory", [0, -1, "lots", "12 apples", 100, "60 KiB"])
def test_memory_that_is_no_size_or_holds_no_slot(memory):
    with pytest.raises(ArgumentError, match=r"size|memory"):
        adjoint.gradient(Untouched(4000, 10), 10, memory=memory)


def test_memory_for_one_slot_is_too_little_with_a_file(tmp_path):
    with pytest.raises(ArgumentError, match="too little"):
        adjoint.gradient(Untouched(4000, 10), 10, memory=ONE_SLOT, file=tmp_path / "run.h5")
    assert not list(tmp_path.iterdir())


def test_memory_for_one_slot_is_enough_without_a_file():
    stepper = Pendulums(4000, 10)
    with adjoint.Functional(stepper, 10, memory=ONE_SLOT) as functional:
        assert functional.plan().schedule.num_slots == 1
        assert bitwise_test(functional).passed


def test_a_disk_without_room_for_one_state(tmp_path):
    with pytest.raises(ArgumentError, match="disk"):
        adjoint.gradient(Untouched(2, 900), 900, memory=20_000, disk=100, file=tmp_path / "run.h5")


def test_the_journal_is_in_the_disks_budget(tmp_path):
    options = {"memory": 20_000, "disk": 8192}
    with pytest.raises(ArgumentError, match=r"besides [0-9]+ for the journal"):
        adjoint.gradient(Untouched(2, 900), 900, file=tmp_path / "run.h5", **options)
    with adjoint.Functional(Pendulums(2, 900), 900, file=tmp_path, **options) as functional:
        assert functional.plan().schedule.file_states <= 2


def test_a_disk_without_a_file():
    with pytest.raises(ArgumentError, match="file="):
        adjoint.gradient(Untouched(2, 10), 10, disk="1 GB")


def test_a_schedule_for_another_number_of_steps():
    with pytest.raises(ArgumentError, match="11"):
        adjoint.gradient(Untouched(2, 10), 10, schedule=Revolve(11, 2))


class HalfASchedule:
    num_steps, num_slots = 10, 9

    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    "schedule",
    ["revolve", Revolve, list(Revolve(10, 2)), HalfASchedule()],
    ids=["text", "a class", "a list of actions", "members missing"],
)
def test_a_schedule_that_is_none(schedule):
    with pytest.raises(ArgumentError, match="schedule"):
        adjoint.gradient(Untouched(2, 10), 10, schedule=schedule)


@pytest.mark.parametrize("call", [adjoint.gradient, adjoint.Functional])
def test_an_option_that_there_is_not(call):
    with pytest.raises(TypeError, match=r"'memroy'.*disk, .*memory, "):
        call(Untouched(2, 10), 10, memroy="1 MiB")


@pytest.mark.parametrize("share", [0, 1, -0.1, 2.0])
def test_a_share_of_lost_time_that_is_none(share, tmp_path):
    with pytest.raises(ArgumentError, match=f"max_lost_share={share}"):
        adjoint.gradient(Untouched(2, 10), 10, file=tmp_path / "run.h5", max_lost_share=share)


def test_a_schedule_that_needs_a_file_without_one():
    with pytest.raises(ArgumentError, match="file="):
        adjoint.gradient(Untouched(2, 10), 10, schedule=Asynchronous(10, 3, 2))


def test_a_schedule_that_does_not_fit_the_memory():
    with pytest.raises(ArgumentError, match="memory"):
        adjoint.gradient(Untouched(2, 10), 10, schedule=Revolve(10, 8), memory=3 * 4096)


def test_a_file_that_is_not_ours_is_left_as_it_was(tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("ten years of work")
    with pytest.raises(SnapshotFileError, match=r"thesis\.txt"):
        adjoint.gradient(Untouched(2, 900), 900, memory=20_000, file=path)
    assert path.read_text() == "ten years of work"


def test_an_engine_that_there_is_not(tmp_path):
    with pytest.raises(ArgumentError, match="engine"):
        adjoint.gradient(Untouched(2, 10), 10, engine="steam", file=tmp_path / "run.h5")


def test_something_that_is_no_stepper():
    with pytest.raises(StepperError, match="FunctionStepper"):
        adjoint.gradient(object(), 10)


def test_something_that_is_no_communicator():
    with pytest.raises(ArgumentError, match="comm"):
        adjoint.gradient(Untouched(2, 10), 10, comm=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("stiffness", np.zeros(7)), ("mass", np.zeros(2)), ("angle", np.zeros(2, complex))],
)
def test_controls_that_do_not_fit(name, value):
    with (
        adjoint.Functional(Untouched(2, 10), 10) as functional,
        pytest.raises(ArgumentError, match=name),
    ):
        functional.value({name: value})


@pytest.mark.parametrize("call", ["value", "value_and_gradient"])
@pytest.mark.parametrize("controls", [np.zeros(14), [1.0, 2.0], 0.5, {"stiffness"}])
def test_controls_that_are_not_given_by_name(call, controls):
    """As an optimiser gives them that is handed the method itself."""
    with (
        adjoint.Functional(Untouched(2, 10), 10) as functional,
        pytest.raises(ArgumentError, match=r"controls are given by name.*flat arrays"),
    ):
        getattr(functional, call)(controls)


def test_a_state_array_that_is_not_contiguous():
    stepper = Untouched(2, 10)
    stepper._state = {**stepper.state, "u": np.zeros((2, 2))[:, 0]}
    with pytest.raises(StepperError, match="contiguous"):
        adjoint.gradient(stepper, 10)


def test_a_cost_without_its_derivative():
    class Costly(Untouched):
        def __init_subclass__(cls):
            pass

    Costly.step_cost_vjp = adjoint.FunctionStepper.step_cost_vjp
    with pytest.raises(StepperError, match="step_cost_vjp"):
        Costly(2, 10)


class Diverging(Pendulums):
    def step(self, step, state, out):
        super().step(step, state, out)
        if step == 7:
            out["u"][0] = np.nan


def test_a_cost_that_is_not_finite_names_its_steps():
    with pytest.raises(NonFiniteError, match=r"\[8, 9\)"):
        adjoint.gradient(Diverging(2, 20), 20, schedule=Revolve(20, 19))


class Silent(Diverging):
    def step_cost(self, step, state):
        return 0.0


def test_a_final_state_that_is_not_finite():
    with pytest.raises(NonFiniteError, match="'u'"):
        adjoint.gradient(Silent(2, 20), 20, schedule=Revolve(20, 3))


def test_a_stored_state_that_is_not_finite(tmp_path):
    class Healing(Silent):
        def step(self, step, state, out):
            super().step(step, state, out)
            if step == 12:
                out["u"][0] = out["v"][0] = 0

    with pytest.raises(NonFiniteError, match=r"'u'.*state 10 "):
        adjoint.gradient(Healing(2, 20), 20, schedule=Asynchronous(20, 4, 5), file=tmp_path)


def test_a_functional_is_usable_after_a_refusal():
    with adjoint.Functional(Pendulums(2, 10), 10, schedule=Revolve(10, 2)) as functional:
        cost, _ = functional.value_and_gradient()
        functional.stepper.controls["angle"][0] = np.inf
        with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError):
            functional.value_and_gradient()
        again, _ = functional.value_and_gradient(Pendulums(2, 10).controls)
        assert again == cost
