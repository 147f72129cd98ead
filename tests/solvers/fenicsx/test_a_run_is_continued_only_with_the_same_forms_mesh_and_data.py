"""A killed run is taken up by another process unless a form, the mesh or data are others."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from ufl import dx, grad, inner

import adjoint
from adjoint.schedules import Multistage
from solvers.fenicsx import FormStepper, PointMisfit

NUM_STEPS = 12


class KilledError(BaseException):
    pass


def make(*, cells=4, power=2, size=0.1, reading=0.5, first=0.0, killed=False):
    """Return a stepper that dies in its reverse sweep, if it is to be killed."""
    square = mesh.create_unit_square(MPI.COMM_SELF, cells, cells)
    space = fem.functionspace(square, ("Lagrange", 1))
    u, u0, m = (fem.Function(space) for _ in range(3))
    v, length = ufl.TestFunction(space), fem.Constant(square, size)
    u0.x.array[:] = first
    m.interpolate(lambda x: np.sin(3 * x[0]))
    residual = (u - u0) / length * v * dx + inner(grad(u), grad(v)) * dx - ufl.exp(m) * v * dx
    stepper = FormStepper(
        residual,
        u,
        u0,
        controls={"m": m},
        running_cost=u**power * dx,
        misfits=[PointMisfit(u, [[0.3, 0.3]], [[reading]], [4])],
    )
    if killed:
        pull_back = stepper.pull_back

        def dying(start, stop):
            if start < 5:
                raise KilledError
            pull_back(start, stop)

        stepper.pull_back = dying
    return stepper


@pytest.fixture
def options(tmp_path):
    """A run that was killed, and what continues it."""
    schedule = Multistage(NUM_STEPS, 2, 4)
    options = {"schedule": schedule, "file": tmp_path / "run.h5"}
    with pytest.raises(KilledError):
        adjoint.gradient(make(killed=True), NUM_STEPS, **options)
    return options | {"resume": True}


def test_the_same_problem(options):
    found = adjoint.gradient(make(), NUM_STEPS, **options)
    expected = adjoint.gradient(make(), NUM_STEPS)
    assert found.report.resumed_from
    assert found.cost == expected.cost
    assert found.gradient["m"].tobytes() == expected.gradient["m"].tobytes()


@pytest.mark.parametrize("other", [{"power": 4}, {"size": 0.2}, {"reading": 0.7}, {"first": 1.0}])
def test_another_problem(other, options, caplog):
    found = adjoint.gradient(make(**other), NUM_STEPS, **options)
    expected = adjoint.gradient(make(**other), NUM_STEPS)
    assert "begins afresh" in caplog.text
    assert found.gradient["m"].tobytes() == expected.gradient["m"].tobytes()


def test_another_mesh():
    one, other = make().fingerprint(), make(cells=3).fingerprint()
    assert one["mesh and partition"] != other["mesh and partition"]
    assert one["mesh and partition"] == make().fingerprint()["mesh and partition"]
