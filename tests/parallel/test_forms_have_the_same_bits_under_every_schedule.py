"""With solvers that are reproducible on ranks, every schedule gives the same bits."""

import pytest

pytest.importorskip("dolfinx")

import form_problems
from form_problems import NUM_STEPS
from petsc4py import PETSc

import adjoint
from adjoint.schedules import Asynchronous, Revolve, StoreAll
from adjoint.verification import replay_test, taylor_test

RANKS = (2, 3)

SOLVERS = {
    "redundant": {"pc_type": "redundant"},
    "gmres": {"ksp_type": "gmres", "pc_type": "bjacobi"},
}

SCHEDULES = [
    Revolve(NUM_STEPS, 2),
    StoreAll(NUM_STEPS, leaf_steps=3),
    Asynchronous(NUM_STEPS, 2, 3),
]


@pytest.fixture(params=SOLVERS)
def prefix(request):
    """The prefix of options for a solver."""
    database = PETSc.Options("bits_")
    for name, value in SOLVERS[request.param].items():
        database[name] = value
    yield "bits_"
    for name in SOLVERS[request.param]:
        database.delValue(name)


@pytest.mark.parametrize("problem", ["p_laplacian", "rows"])
def test_bits(comm, problem, prefix, tmp_path):
    stepper = getattr(form_problems, problem)(comm, options_prefix=prefix)
    assert stepper.reproducible
    assert replay_test(stepper, NUM_STEPS, comm=comm).passed
    kept = adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=StoreAll(NUM_STEPS))
    for schedule in SCHEDULES:
        file = {"file": tmp_path / "run.h5"} if isinstance(schedule, Asynchronous) else {}
        found = adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=schedule, **file)
        assert found.cost == kept.cost
        for name, expected in kept.gradient.items():
            assert found.gradient[name].tobytes() == expected.tobytes(), (schedule, name)


def test_gradient(comm, prefix):
    stepper = form_problems.semi_implicit(comm, options_prefix=prefix)
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm, memory="10 kB") as functional:
        assert taylor_test(functional).passed


@pytest.mark.parametrize("problem", ["heat", "p_laplacian"])
def test_factorisations_on_ranks_are_not_called_reproducible(comm, problem):
    assert not getattr(form_problems, problem)(comm).reproducible
