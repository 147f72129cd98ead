"""The memory that a tape takes is what `tape_bytes` announces, as malloc counts."""

import ctypes
import gc

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc

from adjoint.steppers import Capabilities
from solvers.petsc import BDF2, CrankNicolson, RhsProblem, RungeKutta, TSStepper, tableaux

CELLS, LEAF = 100_000, 60
TOLERANCE = 8 * CELLS // 2
"""Half a vector: what allocator and interpreter take besides is less, and one vector is more."""

LIBRARY = ctypes.CDLL(None)
pytestmark = pytest.mark.skipif(not hasattr(LIBRARY, "mallinfo2"), reason="needs glibc 2.33")


class Decay(RhsProblem):
    """``u' = -u``, in every cell."""

    constant_jacobian = True

    def __init__(self):
        matrix = PETSc.Mat().createAIJ([CELLS, CELLS], nnz=1, comm=PETSc.COMM_SELF)
        ones = PETSc.Vec().createSeq(CELLS, comm=PETSc.COMM_SELF)
        ones.set(1.0)
        matrix.setDiagonal(ones)
        matrix.assemble()
        super().__init__(ones, {"scale": np.array(1.0)}, matrix=matrix)

    def initial_state(self, m, u):
        u.set(float(m["scale"]))

    def initial_state_vjp(self, m, adjoint, gradient):
        gradient["scale"][...] += adjoint.sum()

    def rhs(self, t, u, m, f):
        u.copy(f)
        f.scale(-1.0)

    def rhs_jacobian(self, t, u, m, jacobian, other):
        jacobian.zeroEntries()
        jacobian.shift(-1.0)


def through_ts(kind: str) -> TSStepper:
    problem = Decay()
    ts, u = PETSc.TS().create(PETSc.COMM_SELF), problem.template.duplicate()
    ts.setType(kind)
    ts.setRHSFunction(lambda ts, t, u, f: problem.rhs(t, u, {}, f), u.duplicate())
    ts.setRHSJacobian(
        lambda ts, t, u, a, b: problem.rhs_jacobian(t, u, {}, a, b), problem.matrix, problem.matrix
    )
    ts.setTimeStep(0.01)
    ts.setMaxSteps(10**6)
    return TSStepper(ts, u)


STEPPERS = {
    "TS, cn": lambda: through_ts("cn"),
    "TS, beuler": lambda: through_ts("beuler"),
    "TS, one-leg theta": lambda: through_ts("theta"),
    "TS, rk 3bs": lambda: through_ts("rk"),
    "Crank-Nicolson": lambda: CrankNicolson(Decay(), 0.01),
    "BDF2": lambda: BDF2(Decay(), 0.01),
    "Runge-Kutta": lambda: RungeKutta(Decay(), 0.01, tableaux.RUNGE_KUTTA_4),
}


class Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` (malloc.h)."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks")),
        ("keepcost", ctypes.c_size_t),
    ]


def allocated_bytes() -> int:
    """Return the bytes that NumPy, PETSc and all others have from malloc and not yet freed.

    Not the resident memory: it has also what earlier tests have freed and the allocator reuses, and
    pages of libraries, which the system may drop at any time.
    """
    gc.collect()
    LIBRARY.mallinfo2.restype = Mallinfo2
    info = LIBRARY.mallinfo2()
    return info.uordblks + info.hblkhd


@pytest.mark.parametrize("kept", [False, True], ids=["pulled back at once", "kept"])
@pytest.mark.parametrize("make", STEPPERS.values(), ids=STEPPERS)
def test_growth_of_allocated_memory(make, kept):
    stepper = make()
    stepper.start()
    stepper.advance(0, 2)  # what a step needs in any case is allocated
    before = allocated_bytes()
    stepper.record(2, 2 + LEAF, reach_stop=kept)
    grown = allocated_bytes() - before
    announced = stepper.tape_bytes(LEAF, kept=kept)
    assert abs(grown - announced) < TOLERANCE
    assert Capabilities.of(stepper).tape_bytes(LEAF) == stepper.tape_bytes(LEAF)
