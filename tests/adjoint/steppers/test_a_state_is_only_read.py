"""A function that writes to the state it reads is refused, but for ghost cells if it says so."""

import numpy as np
import pytest

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Asynchronous, Revolve

NUM_STEPS, CELLS = 17, 6


class Ring(adjoint.FunctionStepper):
    """Diffusion on a ring of cells 1 … n; cells 0 and n + 1 are ghosts of the opposite ends."""

    writes_ghosts = True

    def __init__(self):
        start = np.zeros(CELLS + 2)
        start[1:-1] = np.cos(np.arange(CELLS)) + 2
        zeros = np.zeros(CELLS + 2)
        super().__init__({"u": start, "v": zeros}, {"m": np.array(0.2)})

    def refresh(self, state):
        state["u"][[0, -1]] = state["u"][[-2, 1]]

    def second(self, u):
        return u[2:] - 2 * u[1:-1] + u[:-2]

    def step(self, k, state, out):
        self.refresh(state)
        out["u"][1:-1] = state["u"][1:-1] + self.controls["m"] * self.second(state["u"])
        out["u"][[0, -1]] = np.nan if k + 1 < NUM_STEPS else 0
        out["v"][:] = 0

    def step_vjp(self, k, state, adjoint, gradient):
        self.refresh(state)
        gradient["m"] += self.second(state["u"]) @ adjoint["u"][1:-1]
        self.refresh(adjoint)
        adjoint["u"][1:-1] += self.controls["m"] * self.second(adjoint["u"])
        adjoint["u"][[0, -1]] = 0

    def terminal_cost(self, state):
        return (state["u"][1:-1] ** 2).sum()

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"][1:-1] += 2 * state["u"][1:-1]


def test_ghost_cells_may_be_refreshed():
    def cost(m):
        u = np.cos(np.arange(CELLS)) + 2 + 0j
        for _ in range(NUM_STEPS):
            u = u + m * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
        return (u**2).sum()

    result = adjoint.gradient(Ring(), NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))
    assert result.cost == pytest.approx(cost(0.2).real, rel=1e-12)
    assert result.gradient["m"] == pytest.approx(cost(0.2 + 1e-30j).imag / 1e-30, rel=1e-12)


def test_states_on_their_way_to_the_file_are_not_written(tmp_path):
    class Finite(Ring):
        def step(self, k, state, out):
            super().step(k, state, out)
            out["u"][[0, -1]] = 7

    schedule = Asynchronous(NUM_STEPS, 6, 3)
    found = adjoint.gradient(Finite(), NUM_STEPS, schedule=schedule, file=tmp_path)
    kept = adjoint.gradient(Finite(), NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))
    assert not found.report.lost_states
    assert found.gradient["m"].tobytes() == kept.gradient["m"].tobytes()


def assign(state):
    state["u"] = state["u"] + 1


def in_place(state):
    state["u"] += 1


def by_a_name(state):
    inner, other = state["u"][1:-1], state["v"]
    inner[:] = other[1:-1]


def by_numpy(state):
    np.add(state["u"], 1, out=state["u"])


class Writing(adjoint.FunctionStepper):
    """Nothing changes but what `write` does, in the function named `where`."""

    def __init__(self, where, write):
        super().__init__({"u": np.ones(4), "v": np.ones(4)}, {"m": np.ones(1)})
        self.where, self.write = where, write

    def called(self, function, state):
        if function == self.where:
            self.write(state)

    def step(self, k, state, out):
        self.called("step", state)
        out["u"], out["v"] = state["u"], state["v"]

    def step_vjp(self, k, state, adjoint, gradient):
        self.called("step_vjp", state)

    def step_cost(self, k, state):
        self.called("step_cost", state)
        return 0.0

    def step_cost_vjp(self, k, state, adjoint, gradient):
        self.called("step_cost_vjp", state)

    def terminal_cost(self, state):
        self.called("terminal_cost", state)
        return 0.0

    def terminal_cost_vjp(self, state, adjoint, gradient):
        self.called("terminal_cost_vjp", state)


@pytest.mark.parametrize("write", [assign, in_place, by_a_name, by_numpy])
@pytest.mark.parametrize(
    "where",
    ["step", "step_vjp", "step_cost", "step_cost_vjp", "terminal_cost", "terminal_cost_vjp"],
)
def test_a_function_that_writes_to_its_state(where, write):
    with pytest.raises(StepperError, match=rf"^{where}\(\) wrote to 'u', which is read-only"):
        adjoint.gradient(Writing(where, write), NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))


def test_an_error_of_the_users_own_is_left_alone():
    class Failing(Ring):
        def step(self, k, state, out):
            raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        adjoint.gradient(Failing(), NUM_STEPS)
