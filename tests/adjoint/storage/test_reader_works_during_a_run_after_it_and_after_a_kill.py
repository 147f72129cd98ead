"""States of a real run can be read from its file at any time, and are those of the model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pendulums

import adjoint
from adjoint.schedules import Asynchronous

STEPS = 60
SCHEDULE = Asynchronous(STEPS, 8, 10)
KILLED = """
import os, signal, sys
import adjoint, pendulums
from adjoint.schedules import Asynchronous

class Killed(pendulums.Pendulums):
    def step_vjp(self, step, *rest):
        if step == 44:
            os.kill(os.getpid(), signal.SIGKILL)
        super().step_vjp(step, *rest)

adjoint.gradient(Killed(300, 60), 60, file=sys.argv[1], schedule=Asynchronous(60, 8, 10))
"""


def check(path, at_least):
    """Compare the states in the file with the model's own trajectory."""
    model = pendulums.Pendulums(300, STEPS)
    model.start()
    with adjoint.open_snapshots(path) as snapshots:
        assert len(snapshots) >= at_least
        for step, state in snapshots.items():
            position = int(model.state["count"][0])
            model.advance(position, step)
            for name, array in model.state.items():
                np.testing.assert_array_equal(state[name], array)


def test_run_that_has_ended(tmp_path):
    path = tmp_path / "run.h5"
    adjoint.gradient(pendulums.Pendulums(300, STEPS), STEPS, file=path, schedule=SCHEDULE)
    before = path.read_bytes()
    check(path, 5)
    assert path.read_bytes() == before


def test_run_in_progress(tmp_path):
    path = tmp_path / "run.h5"
    seen = []

    class Watched(pendulums.Pendulums):
        def step_vjp(self, step, *rest):
            if step in {55, 30, 4}:
                check(path, 1)
                seen.append(step)
            super().step_vjp(step, *rest)

    watched = adjoint.gradient(Watched(300, STEPS), STEPS, file=path, schedule=SCHEDULE)
    model = pendulums.Pendulums(300, STEPS)
    alone = adjoint.gradient(model, STEPS, file=tmp_path, schedule=SCHEDULE)
    assert seen == [55, 30, 4]
    assert watched.gradient["force"].tobytes() == alone.gradient["force"].tobytes()


def test_run_that_was_killed(tmp_path):
    path = tmp_path / "run.h5"
    folders = [Path(pendulums.__file__).parent, Path(adjoint.__file__).parents[1]]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-c", KILLED, str(path)]
    done = subprocess.run(command, env=variables, capture_output=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    check(path, 5)
