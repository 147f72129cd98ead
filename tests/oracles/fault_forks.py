"""System calls of small runs that fail, one at a time, each in a fork of one warmed process.

    python fault_forks.py SCRATCH < cases

started with `IoFaults.environment`, so that the library is there and idle. A line of standard input
is a `Point` in JSON, a line of standard output what became of it, `Outcome`. Nothing of the package
has been started when the process forks: no thread, file or `Functional`.

A run with a fault must end with the right bits, or with an error of files (one that blames the
stepper is wrong), or be killed if that was the fault; and then, resumed without one, in the right
bits, with nothing left beside its file.
"""

import ctypes
import importlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

NUM_STEPS = 24
SECONDS_EACH = 15

FAULTS = {"EIO": 5, "ENOSPC": 28, "EDQUOT": 122, "EINTR": 4, "short": "short", "kill": "kill"}
"""By name, as `IoFaults` takes them."""

SCHEDULES = ("Asynchronous", "Multistage", "Spilling", "tapes in the file")
LASTING = 1_000_000
"""More calls in a row than there are."""

RIGHT, REFUSED, KILLED, WRONG, HANG = "right", "refused", "killed", "wrong", "hang"
NOISE = ("Traceback", "HDF5-DIAG", "Exception ignored", "Fatal Python error")


@dataclass(frozen=True)
class Run:
    """A small run, in which something may fail."""

    engine: str
    schedule: str
    resumed: bool
    """Whether it is the resume of a run that was killed."""


@dataclass(frozen=True)
class Point(Run):
    """What fails in a run."""

    fault: str = "none"
    first: int = 0
    count: int = 1


@dataclass
class Outcome:
    """What became of a run with a fault, and why it is not as it must be."""

    end: str
    trouble: str = ""


COUNTS = {"kill": (1,), "EINTR": (1, 2)}
"""What is interrupted for ever is tried again for ever. Of other faults, also all that follow."""


def every_point(runs, numbers):
    """Return what can fail: each fault at each of the `numbers[run]` calls of each run."""
    return [
        Point(**asdict(run), fault=fault, first=first, count=count)
        for run in runs
        for fault in FAULTS
        for first in range(1, numbers[run] + 1)
        for count in COUNTS.get(fault, (1, 2, LASTING))
    ]


def every_run(engines):
    """Return the runs, by engine."""
    return [
        Run(engine, schedule, resumed)
        for engine in engines
        for schedule in SCHEDULES
        for resumed in (False, True)
    ]


def drawn(points, count, seed):
    """Return so many of the points: first those with a single fault, if all are wanted."""
    points = list(points)
    random.Random(seed).shuffle(points)
    if count > sum(point.count == 1 for point in points):
        points.sort(key=lambda point: point.count != 1)
    return points[:count]


# -- in the process that starts others ----------------------------------------------------------


class Forks:
    """A warmed process that plays points; used as a context."""

    def __init__(self, folder: Path):
        from io_faults import IoFaults  # noqa: PLC0415  (needs pytest; a fork does not)

        folder.mkdir()
        self.folder = folder
        environment = IoFaults(folder / "run").environment(folder)
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(SECONDS_EACH)

    def number_of_calls(self, run: Run) -> int:
        """Return how many calls there are in a run without a fault."""
        self._send(run)
        return json.loads(self.process.stdout.readline())

    def play(self, point: Point) -> Outcome:
        self._send(point)
        return Outcome(**json.loads(self.process.stdout.readline()))

    def _send(self, case):
        self.process.stdin.write(json.dumps(asdict(case)) + "\n")
        self.process.stdin.flush()


# -- in the warmed process, and its forks -------------------------------------------------------


class Warmed:
    """Plays points in forks, in a folder."""

    def __init__(self, scratch: Path):
        self.scratch, self.folder = scratch, scratch / "run"
        self.bits = {}
        self.killed = {}

    def load(self):
        """Load what a first run loads, so that its forks need not."""
        run = Run("thread", SCHEDULES[0], False)
        self.prepare(run)
        assert self.fork(run, None).end == RIGHT
        for name in (self.scratch / "modules").read_text().split():
            if name not in sys.modules and not name.startswith("mpi4py"):
                with suppress(ImportError):
                    importlib.import_module(name)

    def play(self, point: Point) -> Outcome:
        expected = self.reference(point)
        self.prepare(point)
        outcome = self.fork(point, expected, resume=point.resumed)
        if outcome.trouble:
            return outcome
        if outcome.end == KILLED and point.fault != "kill":
            return Outcome(WRONG, "killed")
        after = self.fork(Run(point.engine, point.schedule, True), expected, resume=True)
        left = {path.name for path in self.folder.iterdir()} - {"run.h5"}
        if after.end != RIGHT:
            after = Outcome(
                HANG if after.end == HANG else WRONG, f"then {after.end}: {after.trouble}"
            )
        elif left:
            after = Outcome(WRONG, f"left behind: {sorted(left)}")
        return after if after.end != RIGHT else outcome

    def number_of_calls(self, run: Run) -> int:
        """Return how many calls there are in a run without a fault."""
        expected = self.reference(run)
        self.prepare(run)
        outcome = self.fork(run, expected, resume=run.resumed)
        assert outcome.end == RIGHT, outcome
        return len(self.calls())

    def reference(self, run: Run) -> bytes:
        """Return the bits of keeping every state in memory; and make what is resumed."""
        if run.schedule not in self.bits:
            self.fork(Run("memory", run.schedule, False), None)
            self.bits[run.schedule] = (self.scratch / "bits").read_bytes()
        kind = (run.engine, run.schedule)
        if run.resumed and kind not in self.killed:
            whole = self.number_of_calls(Run(*kind, False))
            for part in (2, 3, 4, 6):  # a run on a busy machine writes fewer records
                self.prepare(Run(*kind, False))
                end = self.fork(Point(*kind, False, "kill", whole // part), None)
                if end.end == KILLED:
                    break
            assert end.end == KILLED, end
            self.killed[kind] = self.folder.rename(self.scratch / "-".join(kind))
        return self.bits[run.schedule]

    def prepare(self, run: Run):
        """Make the folder of a run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if run.resumed:
            shutil.copytree(self.killed[run.engine, run.schedule], self.folder)
        else:
            self.folder.mkdir()

    def calls(self) -> list[str]:
        return (self.scratch / "io-calls.0").read_text().splitlines()

    def fork(self, run: Run, expected, *, resume=False) -> Outcome:
        """Evaluate in a fork; return how that ended."""
        for name in ("bits", "error", "io-calls.0"):
            (self.scratch / name).unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            self.evaluate(run, resume)
        status = waited(child)
        said = (self.scratch / "said").read_text(errors="replace")
        if status is None:
            return Outcome(HANG, f"no end after {SECONDS_EACH} s: {said[-2000:]}")
        if os.WIFSIGNALED(status):
            killed = os.WTERMSIG(status) == signal.SIGKILL
            return Outcome(KILLED) if killed else Outcome(WRONG, f"status {status}: {said[-2000:]}")
        noise = [word for word in NOISE if word in said]
        error = self.scratch / "error"
        message = error.read_text() if error.exists() else ""
        if noise or "\n" in message or status not in (0, 3 << 8):
            return Outcome(WRONG, f"exit code {status >> 8}: {message} {said[-2000:]}")
        if message:
            return Outcome(REFUSED)
        same = expected is None or (self.scratch / "bits").read_bytes() == expected
        return Outcome(RIGHT) if same else Outcome(WRONG, "other bits")

    def evaluate(self, run: Run, resume):
        """Evaluate in this process, and end it, as a program ends."""
        said = os.open(self.scratch / "said", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(said, 1)
        os.dup2(said, 2)
        fault = FAULTS[run.fault] if isinstance(run, Point) else "none"
        first, count = (run.first, run.count) if isinstance(run, Point) else (0, 1)
        for name, value in {"WHAT": fault, "FIRST": first, "COUNT": count}.items():
            os.environ[f"IO_FAULTS_{name}"] = str(value)
        ctypes.CDLL(None).io_faults_begin()
        case = {"seed": 4, "steps": NUM_STEPS, "schedule": run.schedule, "resume": resume}
        if run.engine == "memory":
            case = {**case, "schedule": None, "leaf": leaf_steps(run.schedule)}
        try:
            result = fault_run.evaluate(case, None, self.folder, run.engine)
            (self.scratch / "bits").write_bytes(fault_run.bytes_of(result))
            (self.scratch / "modules").write_text("\n".join(sys.modules))
        except (errors.SnapshotFileError, errors.TransferError) as error:
            (self.scratch / "error").write_text(f"{type(error).__name__}: {error}")
            sys.exit(3)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        sys.exit(0)


def leaf_steps(schedule):
    return fault_run.SCHEDULES[schedule](NUM_STEPS).leaf_steps


def waited(child):
    """Return the status of a child, or None if it had to be killed."""
    descriptor = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([descriptor], [], [], SECONDS_EACH)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return status if ended else None
    finally:
        os.close(descriptor)


def main():
    status_exchange.EXCHANGE_SECONDS = 0.0
    journal.MIN_GAP = 0
    warmed = Warmed(Path(sys.argv[1]))
    warmed.load()
    for line in sys.stdin:
        case = json.loads(line)
        if "fault" in case:
            print(json.dumps(asdict(warmed.play(Point(**case)))), flush=True)
        else:
            print(json.dumps(warmed.number_of_calls(Run(**case))), flush=True)


if __name__ == "__main__":
    import fault_run
    import h5py  # noqa: F401

    import adjoint.functional  # noqa: F401
    from adjoint import errors
    from adjoint.parallel import status_exchange
    from adjoint.sweep import journal

    main()
