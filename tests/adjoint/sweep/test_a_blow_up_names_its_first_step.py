"""A forward sweep that is not finite names the first such step, whenever it learns of it."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.errors import NonFiniteError
from adjoint.schedules import Asynchronous, Online, Revolve, StoreAll

NUM_STEPS = 150

SCHEDULES = {
    "every state": StoreAll(NUM_STEPS),
    "leaves": StoreAll(NUM_STEPS, leaf_steps=40),
    "few slots": Revolve(NUM_STEPS, 3),
    "one slot": Revolve(NUM_STEPS, 1),
    "a file": Asynchronous(NUM_STEPS, 4, 12),
    "an open end": Online(4),
}


class BlowingUp(Pendulums):
    """The result of step `at` is infinite; or only its cost is not a number."""

    def __init__(self, at, *, kind):
        super().__init__(2, NUM_STEPS)
        self.at, self.kind = at, kind
        self.position = 0

    @property
    def finished(self):
        return self.position == NUM_STEPS

    def start(self):
        super().start()
        self.position = 0

    def advance(self, start, stop, **options):
        self.position = min(stop, NUM_STEPS)
        return super().advance(start, self.position, **options)

    def adopt(self, arrays):
        super().adopt(arrays)
        self.position = int(arrays["count"][0])

    def step(self, step, state, out):
        super().step(step, state, out)
        if step == self.at and self.kind != "cost":
            out["v"][0] = np.inf

    def step_cost(self, step, state):
        if self.kind == "cost" and step == self.at:
            return np.nan
        return 0.0 if self.kind == "silent" else super().step_cost(step, state)


def message(stepper, schedule, **options):
    num_steps = schedule.num_steps
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as raised:
        adjoint.gradient(stepper, num_steps, schedule=schedule, **options)
    return str(raised.value)


@pytest.mark.parametrize("kind", ["cost", "state", "silent"])
@pytest.mark.parametrize("at", [0, 1, 63, 100, NUM_STEPS - 1])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_step_is_named(name, at, kind, tmp_path):
    file = {"file": tmp_path} if name == "a file" else {}
    said = message(BlowingUp(at, kind=kind), SCHEDULES[name], **file)
    assert said.startswith(f"step {at} is the first that is not finite; ")


def test_a_stepper_with_memory_of_its_own():
    stepper = CopiedPendulums(2, NUM_STEPS)
    stepper._inner = BlowingUp(77, kind="state")
    for member in ("start", "record", "turn", "pull_back", "finish", "tape_bytes"):
        setattr(stepper, member, getattr(stepper._inner, member))
    said = message(stepper, Revolve(NUM_STEPS, 3))
    assert said.startswith("step 77 is the first")


def test_a_step_that_the_stepper_knows_is_not_searched_for():
    class Knowing(BlowingUp):
        first_non_finite = None
        taken = 0

        def step_cost(self, step, state):
            self.taken += 1
            cost = super().step_cost(step, state)
            if not np.isfinite(cost) and self.first_non_finite is None:
                self.first_non_finite = step
            return cost

    stepper = Knowing(20, kind="cost")
    said = message(stepper, Revolve(NUM_STEPS, 3))
    assert "in step 20" in said
    assert "is the first" not in said


def test_a_terminal_cost_blames_no_step():
    class Final(Pendulums):
        def terminal_cost(self, state):
            return np.inf

    assert "is the first" not in message(Final(2, NUM_STEPS), Revolve(NUM_STEPS, 3))


def test_an_error_of_closing_the_file_does_not_replace_it(tmp_path):
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as raised:
        adjoint.gradient(
            BlowingUp(63, kind="silent"),
            NUM_STEPS,
            schedule=SCHEDULES["a file"],
            file=tmp_path,
        )
    assert str(raised.value).startswith("step 63 is the first")
    # Whether a write is found to have failed before the file is closed is a matter of time.
    said = [str(raised.value), *getattr(raised.value, "__notes__", [])]
    assert any("when writing it to the file" in each for each in said)
