"""Calls of one `Functional` that overlap are refused; in turn they may come from any threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.errors import CallError
from adjoint.schedules import Asynchronous, Revolve

NUM_STEPS = 30

CALLS = ("plan", "value", "value_and_gradient", "close")


class Held(Pendulums):
    """Stops in its third step until it is released."""

    def __init__(self):
        super().__init__(3, NUM_STEPS)
        self.reached, self.released = threading.Event(), threading.Event()
        self.released.set()

    def step(self, step, state, out):
        if step == 2 and not self.released.is_set():
            self.reached.set()
            assert self.released.wait(60)
        super().step(step, state, out)


@pytest.mark.parametrize("under_way", ["value", "value_and_gradient"])
def test_a_call_during_another_is_refused_and_changes_nothing(under_way):
    stepper = Held()
    expected = adjoint.gradient(Pendulums(3, NUM_STEPS), NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 4)) as functional:
        stepper.released.clear()
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(getattr(functional, under_way))
            assert stepper.reached.wait(60)
            for call in CALLS:
                with pytest.raises(CallError, match="under way"):
                    getattr(functional, call)()
            stepper.released.set()
            result = first.result(60)
        cost, gradient = functional.value_and_gradient()
    assert (result if under_way == "value" else result[0]) == cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(gradient[name], array)


def test_a_step_that_calls_its_functional_is_refused():
    class Recursive(Pendulums):
        def step(self, step, state, out):
            if step == 4:
                functional.value()
            super().step(step, state, out)

    functional = adjoint.Functional(Recursive(2, NUM_STEPS), NUM_STEPS)
    with functional, pytest.raises(CallError, match="this thread"):
        functional.value_and_gradient()


@pytest.mark.parametrize("engine", ["thread", "direct"])
def test_threads_that_take_turns_get_the_same_bits(engine, tmp_path):
    options = {"schedule": Asynchronous(NUM_STEPS, 4, 5), "file": tmp_path / "run.h5"}
    expected = adjoint.gradient(Pendulums(3, NUM_STEPS), NUM_STEPS)
    with adjoint.Functional(Pendulums(3, NUM_STEPS), NUM_STEPS, engine=engine, **options) as shared:
        for _ in range(3):
            with ThreadPoolExecutor(1) as pool:
                cost, gradient = pool.submit(shared.value_and_gradient).result(60)
            assert cost == expected.cost
            np.testing.assert_array_equal(gradient["force"], expected.gradient["force"])
