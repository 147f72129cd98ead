"""An inversion on ranks is that of one process, whichever method searches; failures reach all."""

from contextlib import contextmanager

import numpy as np
import pytest
from inverse_problems import Logarithms
from mpi4py import MPI
from pendulums import Pendulums, SharedPendulums

import adjoint
from adjoint.errors import ArgumentError, NonFiniteError
from adjoint.inverse import EvaluationLog, Gaussian, Inversion, Log, Unknown, laplace

NUM_STEPS = 12
RANKS = (2, 3)
METHODS = ["L-BFGS-B", "Newton-CG"]
OF_TAO = ["tao:lmvm", "tao:bntr"]


class SharedLogarithms(Logarithms):
    """Each rank has a part of x."""

    distributed = ("x",)

    def __init__(self, comm):
        super().__init__(4)
        self.controls["x"][:] = 8 + 0.1 * comm.rank


def order(comm):
    """Return the global indices of this rank's angles: every other one from the end."""
    return np.arange(2) * comm.size + comm.size - 1 - comm.rank


@contextmanager
def inversion(comm, **options):
    """Yield a row of pendulums on all ranks, and the same on this one alone."""
    shared, alone = SharedPendulums(2, NUM_STEPS, comm), Pendulums(2 * comm.size, NUM_STEPS)
    alone.controls["stiffness"][:] = stiffness = np.linspace(1, 2, 2 * comm.size)
    shared.controls["stiffness"][:] = stiffness[order(comm)]
    prior = Gaussian(factor=np.diag(0.2 + np.arange(NUM_STEPS) / NUM_STEPS))
    unknowns = [Unknown("force", prior=prior), Unknown("angle", order=order(comm))]
    others = [unknowns[0], Unknown("angle")]
    shared.distributed = ("angle", "stiffness")
    whole = np.empty(2 * comm.size)
    for where, values in comm.allgather((order(comm), shared.controls["angle"])):
        whole[where] = values
    alone.controls["angle"][:] = whole
    with (
        np.errstate(over="ignore", invalid="ignore"),  # far away it overflows
        adjoint.Functional(shared, NUM_STEPS, comm=comm) as functional,
        adjoint.Functional(alone, NUM_STEPS, comm=MPI.COMM_SELF) as own,
        Inversion(functional, unknowns, **options) as together,
        Inversion(own, others) as single,
    ):
        yield together, single


def test_cost_and_derivatives(comm, rng):
    with inversion(comm) as (together, single):
        assert together.initial == pytest.approx(single.initial, abs=1e-14)
        x, v = rng.standard_normal((2, together.size))
        assert together.cost(x) == pytest.approx(single.cost(x), rel=1e-13)
        for some, others in zip(
            together.cost_and_gradient(x), single.cost_and_gradient(x), strict=True
        ):
            assert some == pytest.approx(others, rel=1e-12, abs=1e-12)
        product = together.hessian(x) @ v
        assert product == pytest.approx(single.hessian(x) @ v, rel=1e-11, abs=1e-12)
        assert together.pack(together.unpack(x)) == pytest.approx(x, abs=1e-14)


def searched(comm, method, **options):
    with inversion(comm) as (together, single):
        found = together.minimise(method, gauss_newton=True, **options)
        expected = single.minimise(method, gauss_newton=True, **options)
        for each in (found, expected):
            if each.tao is not None:
                each.tao.destroy()
        assert comm.allgather(found.x.tobytes()) == comm.size * [found.x.tobytes()]
        assert found.x == pytest.approx(expected.x, abs=1e-4)
        assert found.cost == pytest.approx(expected.cost, rel=1e-8)
        assert len(set(comm.allgather(repr(found.history)))) == 1
        part = together.functional.stepper.controls["angle"]
        assert np.array_equal(part, found.x[NUM_STEPS:][order(comm)])


@pytest.mark.parametrize("method", METHODS)
def test_scipy(comm, method):
    searched(comm, method)


@pytest.mark.needs("petsc4py")
@pytest.mark.parametrize("method", OF_TAO)
def test_tao(comm, method):
    searched(comm, method, gatol=1e-5)


def test_posterior(comm):
    prior = Gaussian(factor=np.eye(NUM_STEPS))
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    with (
        adjoint.Functional(stepper, NUM_STEPS, comm=comm) as functional,
        Inversion(functional, [Unknown("force", prior=prior)]) as one,
    ):
        posterior = laplace(one, one.initial, rank=NUM_STEPS)
        dense = one.hessian(one.initial, gauss_newton=True) @ np.eye(NUM_STEPS)
        variance = np.diag(np.linalg.inv(dense))
        assert posterior.variance() == pytest.approx(variance, rel=1e-9)
        assert len(set(comm.allgather(posterior.variance().tobytes()))) == 1


def test_a_log(comm, tmp_path):
    log = comm.bcast(str(tmp_path / "log"))
    with inversion(comm, log=EvaluationLog(log)) as (together, _):
        first = together.minimise("Newton-CG", max_iterations=4)
        comm.barrier()
    with inversion(comm, log=EvaluationLog(log)) as (together, _):
        again = together.minimise("Newton-CG", max_iterations=4)
    assert again.replayed == len(again.history) == len(first.history)
    assert again.x.tobytes() == first.x.tobytes()


@pytest.mark.parametrize(
    "method", ["L-BFGS-B", pytest.param("tao:lmvm", marks=pytest.mark.needs("petsc4py"))]
)
def test_a_callback_that_fails(comm, method):
    def callback(intermediate_result):
        raise ZeroDivisionError("no more")

    with (
        inversion(comm, callback=callback) as (together, _),
        pytest.raises(ZeroDivisionError, match="no more"),
    ):
        together.minimise(method)


@pytest.mark.parametrize(
    "method", ["L-BFGS-B", pytest.param("tao:lmvm", marks=pytest.mark.needs("petsc4py"))]
)
def test_a_callback_that_ends_the_search(comm, method):
    def callback(intermediate_result):
        raise StopIteration

    with inversion(comm, callback=callback) as (together, _):
        found = together.minimise(method)
        assert not found.success
        assert found.message == "the callback ended the search"
        assert found.iterations == 1
        if found.tao is not None:
            found.tao.destroy()


def test_a_cost_that_is_not_finite_on_one_rank(comm):
    stepper = SharedLogarithms(comm)
    with (
        adjoint.Functional(stepper, 1, comm=comm) as functional,
        Inversion(functional, [Unknown("x")]) as one,
    ):
        assert one.minimise("BFGS").non_finite > 0
        x = one.initial.copy()
        x[-1] = -1
        with pytest.raises(NonFiniteError):
            one.minimise(initial=x)
        assert one.minimise("L-BFGS-B").x == pytest.approx(np.ones(one.size), abs=1e-2)


def test_what_is_refused(comm):
    last = comm.rank == comm.size - 1
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm) as functional:
        for unknown in (
            Unknown("angle", order=np.arange(2) + (9 if last else 2 * comm.rank)),
            Unknown("angle", order=None if last else np.arange(2)),
            Unknown("angle", order=np.arange(2.0) + 2 * comm.rank),
            Unknown("angle", transform=Log()),
            Unknown("force", initial=np.zeros(NUM_STEPS + last)),
        ):
            with pytest.raises(ArgumentError):
                Inversion(functional, [unknown])
        with Inversion(functional, [Unknown("force")]) as one:
            for method in ("none", "tao:brgn", "tao:none"):
                with pytest.raises(ArgumentError):
                    one.minimise(method)
            with pytest.raises(ArgumentError):
                one.cost(np.zeros(1))
