"""Runs parts of the campaign in processes of their own, on one rank or several."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 3600
NEVER = 1e18
ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMBA")


class ChildError(RuntimeError):
    """A process of the campaign ended with an error."""


@dataclass(frozen=True, slots=True)
class Task:
    """A part of the campaign that a process of its own plays."""

    part: str
    name: str
    schedule: str = ""
    """As its `repr`; empty for what is planned."""
    before: Any = None
    """What was found of it earlier, to go on from."""
    until: float = NEVER
    """When to end, by `time.time`."""

    @property
    def seconds(self) -> float:
        """The time that is left."""
        return self.until - time.time()


def run_child(folder: Path, task: Task, ranks: int = 1) -> Any:
    """Return what a process of its own, which keeps files in `folder`, finds.

    Raises
    ------
    ChildError
        It failed, or did not end; with the last line that it printed.
    """
    threads = {f"{name}_NUM_THREADS": "1" for name in ONE_THREAD}
    script = Path(__file__).parents[1] / "campaign.py"
    with tempfile.TemporaryDirectory(dir=folder) as place:
        answer = Path(place) / "answer.json"
        (Path(place) / "task.json").write_text(json.dumps(asdict(task)))
        command = [sys.executable, str(script), "--child", place]
        if ranks > 1:
            command = [_mpirun(), "-n", str(ranks), *command]
        try:
            done = subprocess.run(
                command,
                env=threads | dict(os.environ),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ChildError(f"did not end within {TIMEOUT_SECONDS} s") from error
        if done.returncode or not answer.exists():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise ChildError(" / ".join(lines[-1:]) or f"exit status {done.returncode}")
        return json.loads(answer.read_text())


def task_in(folder: Path) -> Task:
    """Return the task that `run_child` has left in a folder."""
    return Task(**json.loads((folder / "task.json").read_text()))


def answer(folder: Path, found: Any, comm: Any) -> None:
    """Leave what was found, on the first rank, for `run_child`."""
    if comm is None or comm.Get_rank() == 0:
        (folder / "answer.json").write_text(json.dumps(found))


def _mpirun() -> str:
    beside = Path(sys.executable).with_name("mpirun")
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if found is None:
        raise ChildError("there is no mpirun")
    return found
