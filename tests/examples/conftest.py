"""Runs an example as a reader would: as a program, in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.conftest import mpirun

EXAMPLES = Path(__file__).parents[2] / "examples"

RUN_SECONDS = 110

Completed = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def run_example() -> Callable[..., Completed]:
    """Return a function that runs an example on some ranks, and fails if the example does."""

    def run(
        name: str,
        options: Sequence[str],
        folder: Path,
        *,
        ranks: int = 1,
        python: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> Completed:
        command = [sys.executable, *python, str(EXAMPLES / name), *options]
        if ranks > 1:
            command = [str(mpirun()), "-n", str(ranks), *command]
        done = subprocess.run(
            command,
            cwd=folder,
            # The environment at the start of Python: MPI may have added to the C environment since.
            env=dict(os.environ) | dict(variables or {}),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
