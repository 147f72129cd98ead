"""A replicated control that differs between ranks is refused on all of them."""

import numpy as np
import pytest

import adjoint
from adjoint.errors import ArgumentError
from adjoint.schedules import Asynchronous, Revolve

RANKS = (2, 3)
NUM_STEPS = 16


class Driven(adjoint.FunctionStepper):
    """``u[k+1] = w u[k] + f[k] + s``: `f` has a row per step, `own` is the initial state."""

    distributed = ("own",)
    per_step = ("f",)
    taken = 0

    def __init__(self, comm, **controls):
        default = {
            "w": np.array(0.9),
            "s": np.linspace(0, 1, 6).reshape(2, 3),
            "f": np.linspace(-1, 1, 4 * NUM_STEPS).reshape(NUM_STEPS, 4),
            "own": np.arange(4.0) + comm.rank,
        }
        super().__init__({"u": np.zeros(4)}, default | controls)

    def initial_state(self, out):
        out["u"][:] = self.controls["own"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["own"] += adjoint["u"]

    def step(self, k, state, out):
        self.taken += 1
        c = self.controls
        out["u"][:] = c["w"] * state["u"] + c["f"][k] + c["s"].sum()

    def step_vjp(self, k, state, adjoint, gradient):
        gradient["w"] += state["u"] @ adjoint["u"]
        gradient["s"] += adjoint["u"].sum()
        gradient["f"][k] += adjoint["u"]
        adjoint["u"] *= self.controls["w"]

    def terminal_cost(self, state):
        return float(state["u"] @ state["u"]) / 2

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"]


def others(comm, same, other):
    """Return `other` on the last rank, `same` on all before."""
    return other if comm.rank == comm.size - 1 else same


DIFFERENT = {
    "a last bit": (np.full(5, 0.5), np.full(5, np.nextafter(0.5, 1)), "other values"),
    "shape": (np.zeros(3), np.zeros(4), r"shape \(3,\).*shape \(4,\)"),
    "shape of the same size": (np.zeros((2, 3)), np.zeros((3, 2)), "shape"),
    "dtype": (np.zeros(3), np.zeros(3, np.float32), "float64.*float32"),
    "NaN": (np.zeros(3), np.array([0, np.nan, 0]), "other values"),
}


@pytest.mark.parametrize("call", ["value", "value_and_gradient", "plan"])
@pytest.mark.parametrize("name", DIFFERENT)
def test_a_replicated_control_that_differs(comm, name, call):
    same, other, said = DIFFERENT[name]
    stepper = Driven(comm, s=others(comm, same, other).copy())
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm) as functional:
        with pytest.raises(ArgumentError, match=rf"control 's' .*{said}.*distributed"):
            getattr(functional, call)()
        assert stepper.taken == 0
        if same.shape == other.shape and same.dtype == other.dtype:
            functional.value_and_gradient({"s": same})


def test_controls_in_another_order(comm):
    stepper = Driven(comm)
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm) as functional:
        if comm.rank == 1:
            stepper._controls = dict(reversed(stepper._controls.items()))
        with pytest.raises(ArgumentError, match=r"controls are .* on rank 0, but .* on rank 1"):
            functional.value()


def test_values_that_differ_from_a_later_call_on(comm, tmp_path):
    options = {"schedule": Asynchronous(NUM_STEPS, 4, 3), "file": tmp_path / "run.h5"}
    with adjoint.Functional(Driven(comm), NUM_STEPS, comm=comm, **options) as functional:
        first, _ = functional.value_and_gradient()
        with pytest.raises(ArgumentError, match="'w' has other values"):
            functional.value_and_gradient({"w": 0.9 + 1e-9 * comm.rank})
        again, _ = functional.value_and_gradient({"w": 0.9})
    assert again == first


def test_distributed_controls_may_differ_in_values_and_shape(comm):
    stepper = Driven(comm, own=np.arange(4.0) * (1 + comm.rank))
    stepper.distributed = ("own", "f")
    rows = NUM_STEPS + comm.rank
    stepper.controls["f"] = np.full((rows, 4), float(comm.rank))
    stepper.accumulators["f"] = np.zeros((rows, 4))
    result = adjoint.gradient(stepper, NUM_STEPS, comm=comm)
    # The adjoint at step k is w^(n-k) u[n]; that of the initial state is w^n u[n].
    u = np.arange(4.0) * (1 + comm.rank)
    for _ in range(NUM_STEPS):
        u = 0.9 * u + comm.rank + 3.0
    np.testing.assert_allclose(result.gradient["own"], 0.9**NUM_STEPS * u, rtol=1e-12)


def on_disk(comm, tmp_path, rows):
    values = np.memmap(tmp_path / f"f-{comm.rank}", dtype=float, mode="w+", shape=(NUM_STEPS, 4))
    values[...] = rows
    return values


@pytest.mark.parametrize("row", [0, 7, NUM_STEPS - 1])
@pytest.mark.parametrize("call", ["value", "value_and_gradient"])
def test_rows_on_disk_that_differ(comm, tmp_path, call, row):
    rows = np.linspace(-1, 1, 4 * NUM_STEPS).reshape(NUM_STEPS, 4)
    stepper = Driven(comm, f=on_disk(comm, tmp_path, rows))
    with adjoint.Functional(
        stepper, NUM_STEPS, comm=comm, schedule=Revolve(NUM_STEPS, 3)
    ) as functional:
        getattr(functional, call)()
        stepper.controls["f"][row, 2] += 1e-12 * comm.rank
        with pytest.raises(ArgumentError, match="'f' has other values"):
            getattr(functional, call)()


def test_rows_on_disk_of_another_shape(comm, tmp_path):
    wide = np.memmap(
        tmp_path / f"f-{comm.rank}", dtype=float, mode="w+", shape=(NUM_STEPS + comm.rank, 4)
    )
    stepper = Driven(comm, f=wide)
    with pytest.raises(ArgumentError, match="'f' has shape"):
        adjoint.gradient(stepper, NUM_STEPS, comm=comm)
    assert stepper.taken == 0
