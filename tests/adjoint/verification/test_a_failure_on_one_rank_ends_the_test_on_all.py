"""A hook or inner product that raises on one rank ends a gradient test on all ranks: no hang.

So does a scale of the wrong shape there. What raises on all ranks is raised, and ends nothing.
"""

import os
import subprocess
import sys

import pytest

from tests.conftest import mpirun

PROGRAM = """
import sys
sys.path[:0] = {path!r}
from mpi4py import MPI
import numpy as np
import adjoint
from adjoint.parallel import communication
from adjoint.verification import bitwise_test, dot_product_test, replay_test, taylor_test
from pendulums import SharedPendulums

communication.GRACE_SECONDS = 0.5
comm, failing = MPI.COMM_WORLD, {failing}
options = {{}}

def fail(*arguments):
    if comm.rank in failing:
        raise ArithmeticError("the coast has fallen into the sea")

class Broken(SharedPendulums):
    pass

def break_hook(name):
    right = getattr(SharedPendulums, name)
    def hook(self, *arguments):
        # Not at first, so that a rank fails where the others compute.
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > 40:
            fail()
        return right(self, *arguments)
    setattr(Broken, name, hook)

if {what!r} == "inner product":
    options["inner_product"] = lambda a, b: fail() or 1.0
elif {what!r} == "scale":
    options["scale"] = {{"angle": np.ones(7)}} if comm.rank in failing else {{}}
else:
    break_hook({what!r})
stepper = Broken(2, 30, comm)
functional = lambda: adjoint.Functional(stepper, 30, comm=comm)
try:
    if {test!r} == "taylor":
        taylor_test(functional(), **options)
    elif {test!r} == "dot product":
        dot_product_test(stepper, 30, comm=comm, **options)
    elif {test!r} == "replay":
        replay_test(stepper, 30, comm=comm)
    else:
        bitwise_test(functional())
except (ArithmeticError, adjoint.AdjointError) as error:
    assert "the coast" in str(error), error
    print("raised", flush=True)
"""

CASES = [
    ("dot product", "step"),
    ("dot product", "step_vjp"),
    ("dot product", "inner product"),
    ("dot product", "scale"),
    ("taylor", "step"),
    ("taylor", "inner product"),
    ("replay", "step"),
    ("bitwise", "step_vjp"),
]


def run(tmp_path, size, **values):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(path=sys.path, **values))
    return subprocess.run(
        [str(mpirun()), "-n", str(size), sys.executable, str(program)],
        # As this process began: an MPI that a test initialised has added to the C environment.
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("test", "what"), CASES)
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.needs("mpirun")
def test_on_the_last_rank(test, what, size, tmp_path):
    done = run(tmp_path, size, test=test, what=what, failing=[size - 1])
    assert done.returncode != 0
    assert f"rank {size - 1} failed alone" in done.stdout + done.stderr


@pytest.mark.parametrize("test", ["dot product", "taylor", "replay", "bitwise"])
@pytest.mark.needs("mpirun")
def test_on_all_ranks(test, tmp_path):
    done = run(tmp_path, 2, test=test, what="step", failing=[0, 1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("raised") == 2
