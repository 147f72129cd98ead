"""A child that inherits a `Functional` by `fork` is refused; whatever it does, the parent goes on.

Each child ends in another way: at once, through the interpreter's exit, or after it has closed and
deleted what it inherited. It may fork between two evaluations or inside a step, and while the
parent's transfers are under way. Then the parent evaluates, closes, and resumes from its file.
"""

import subprocess
import sys

import pytest

PROGRAM = """
import gc, os, signal, sys
sys.path[:0] = {path!r}
import numpy as np
import adjoint
from adjoint.schedules import Asynchronous
from pendulums import Pendulums

STEPS = 40

def end(functional):
    try:
        functional.value()
    except adjoint.CallError as error:
        assert str(os.getppid()) in str(error)
    else:
        os._exit(3)
    for refused in (functional.plan, functional.value_and_gradient):
        try:
            refused()
            os._exit(4)
        except adjoint.CallError:
            pass
    {ending}

class Forking(Pendulums):
    at = None

    def step(self, step, state, out):
        if step == self.at:
            self.at = None
            fork()
        super().step(step, state, out)

def fork():
    global functional
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        end(functional)
    assert os.waitpid(child, 0)[1] == 0

expected = adjoint.gradient(Pendulums(500, STEPS), STEPS)
options = dict(schedule=Asynchronous(STEPS, 5, 4), engine={engine!r}, file={file!r})

def check(cost, gradient):
    assert cost == expected.cost
    assert gradient["force"].tobytes() == expected.gradient["force"].tobytes()

stepper = Forking(500, STEPS)
with adjoint.Functional(stepper, STEPS, **options) as functional:
    fork()
    stepper.at = 21
    check(*functional.value_and_gradient())
    fork()
    check(*functional.value_and_gradient())
    fork()
if {kept}:
    result = adjoint.gradient(Forking(500, STEPS), STEPS, resume=True, **options)
    check(result.cost, result.gradient)
print("right", sorted(os.listdir({folder!r})))
"""

ENDINGS = {
    "at once": "os._exit(0)",
    "by exit": "sys.exit(0)",
    "after closing": "functional.close(); del functional; gc.collect(); sys.exit(0)",
}


@pytest.mark.parametrize(
    ("engine", "ending", "kept"),
    [
        ("thread", "at once", True),
        ("direct", "by exit", True),
        ("thread", "by exit", False),
        ("thread", "after closing", True),
        ("direct", "after closing", False),
    ],
)
def test_the_child_is_refused_and_the_parent_right(engine, ending, kept, tmp_path):
    program = PROGRAM.format(
        path=sys.path,
        ending=ENDINGS[ending],
        engine=engine,
        file=str(tmp_path / "run.h5" if kept else tmp_path),
        kept=kept,
        folder=str(tmp_path),
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    # A file that is kept may have a lock beside it.
    assert done.stdout.startswith("right ['run.h5'" if kept else "right []"), done.stderr
    assert done.returncode == 0
