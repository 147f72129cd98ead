"""Calls of a `Functional` that a signal interrupts, at a chosen instruction or moment.

    python interrupt_forks.py SCRATCH < points

A line of standard input is a `Point` in JSON, a line of standard output what became of it: each is
played in a fork of one warmed process. A handler that raises is called there, between any two
instructions of Python, in the main thread. The call may raise what the handler raised; later calls
of the same `Functional` must give the right bits, and after `close` nothing may be left: no file
but the named one, no descriptor, no thread, no handler of a signal.
"""

import ctypes
import faulthandler
import gc
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import fault_forks
import numpy as np

NUM_STEPS = 16
SIZE = 12

CASES = ("memory", "tapes", "planned", "copied", "file", "temporary", "resumed", "direct")
"""What is run, see `options`. Besides, "mpi": with MPI's nonblocking transfers."""

CALLS = ("make", "first", "later", "value", "product", "again", "close")
"""What is interrupted: the constructor, the first or second gradient, a value, the first or second
Hessian products, `close`."""

SIGNALS = {"KeyboardInterrupt": signal.SIGINT, "AlarmError": signal.SIGALRM}

RIGHT, WRONG, HANG = "right", "wrong", "hang"

INSTRUCTIONS_PER_MICROSECOND = 20
"""Of a run that nobody counts."""


class AlarmError(Exception):
    """What a handler raises."""


@dataclass(frozen=True)
class Point:
    """What is interrupted, and where."""

    case: str
    call: str
    raises: str = "KeyboardInterrupt"
    at: int = 0
    """Number of the instruction, from 1; 0 for none."""
    again: int = 0
    """Number of the instruction at which another signal comes; 0 for none."""
    microseconds: int = 0
    """Time after which the signal comes, instead."""
    keeps: bool = False
    """Whether the traceback is kept during later calls, as in an interactive session."""


def drawn(numbers, count, seed):
    """Return random points of calls, by (case, call), that have so many instructions."""
    choice, kinds = random.Random(seed), list(numbers)
    points = []
    for k in range(count):
        case, call = kinds[k % len(kinds)]
        at = choice.randint(1, numbers[case, call])
        where = choice.choice([{"at": at}, {"at": at, "again": at + choice.randint(1, 400)}, {}])
        if not where:
            where = {"microseconds": 1 + at // INSTRUCTIONS_PER_MICROSECOND}
        raises = choice.choice(list(SIGNALS)) if "at" in where else "AlarmError"
        points.append(Point(case, call, raises, **where, keeps=choice.random() < 0.5))
    return points


# -- in the process that starts others ----------------------------------------------------------


class Forks:
    """A warmed process that plays points; used as a context."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(fault_forks.SECONDS_EACH)

    def play(self, point: Point) -> dict:
        """Return what became of a point: `end`, `trouble`, and `seen`, the instructions counted."""
        self.process.stdin.write(json.dumps(asdict(point)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def numbers_of_instructions(forks, cases):
    """Return how many instructions each call takes in some cases, by (case, call)."""
    kinds = [(case, call) for case in cases for call in CALLS]
    return {kind: forks.play(Point(*kind))["seen"] for kind in kinds}


# -- in the warmed process, and its forks -------------------------------------------------------


def compiled(scratch: Path):
    """Return the compiled library."""
    source, library = Path(__file__).with_name("interrupts.c"), scratch / "interrupts.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return ctypes.PyDLL(str(library))


def options(case, folder):
    """Return the options of a run."""
    path, comm = folder / "run.h5", None
    asynchronous = {"schedule": schedules.Asynchronous(NUM_STEPS, 3, 4)}
    if case == "mpi":
        comm = importlib.import_module("mpi4py.MPI").COMM_SELF
    return {
        "memory": {"schedule": schedules.Revolve(NUM_STEPS, 3, leaf_steps=2)},
        "tapes": {"schedule": schedules.Mixed(NUM_STEPS, 12, 2, leaf_steps=2)},
        "planned": {"memory": 4000},
        "copied": {**asynchronous, "file": path},
        "file": {**asynchronous, "file": path},
        "temporary": {"schedule": schedules.Multistage(NUM_STEPS, 2, 4), "file": folder},
        "resumed": {**asynchronous, "file": path, "resume": True},
        "direct": {**asynchronous, "file": folder, "engine": "direct"},
        "mpi": {**asynchronous, "file": path, "engine": "mpi", "comm": comm},
    }[case]


def stepper(case, *, at=None):
    """Return a new stepper."""
    size = SIZE if case != "direct" else 16384
    start, m = np.linspace(0.2, 1, size), np.linspace(0.5, 1.5, size)
    made = driven_ring.DrivenRing(start, m, 0.01, at=at)
    if case == "copied":
        made.writes_ghosts = True
    return made


def directions(case):
    """Return two of them."""
    return {"m": np.linspace(-1, 1, 2 * len(stepper(case).state["u"])).reshape(2, -1)}


class Session:
    """Makes a `Functional`, calls it, and closes it; one of the calls is interrupted."""

    def __init__(self, library, point, folder):
        self.library, self.point, self.folder = library, point, folder
        self.functional, self.kept, self.seen = None, None, 0
        self.caught = ""
        self.armed = False
        for kind, number in zip((KeyboardInterrupt, AlarmError), SIGNALS.values(), strict=True):
            signal.signal(number, partial(self.on_signal, kind))

    def run(self, bits):
        """Raise `AssertionError` if something is not as it must be."""
        before = self.left()
        self.call("make", self.make)
        if self.functional is None:
            self.make()
        for name, work in (
            ("first", self.gradient),
            ("later", self.gradient),
            ("value", self.functional.value),
            ("product", self.products),
            ("again", self.products),
        ):
            found = self.call(name, work)
            if found is not None:
                self.check(found, bits)
        for work in (self.gradient, self.products, self.gradient, self.functional.value):
            self.check(work(), bits)
        self.call("close", self.functional.close)
        self.functional.close()
        self.functional = self.kept = None
        gc.collect()
        # A second signal may come where what the first has left is being removed.
        assert self.point.again or self.left() == before, f"left {before} -> {self.left()}"

    def make(self):
        case = self.point.case
        self.functional = adjoint.Functional(
            stepper(case), NUM_STEPS, max_lost_share=1e-6, **options(case, self.folder)
        )

    def gradient(self):
        cost, gradient = self.functional.value_and_gradient()
        return cost, gradient["m"]

    def products(self):
        found = self.functional.second_order(directions(self.point.case), block=1)
        assert found.gradient is not None
        return found.cost, found.gradient["m"], found.products["m"]

    def call(self, name, work):
        """Return what a call returns; None if it was interrupted."""
        if name != self.point.call:
            return work()
        found = None
        try:
            self.arm()
            found = work()
            self.armed = False
        except (KeyboardInterrupt, Exception) as error:
            self.armed = False
            self.catch(error)
        self.disarm()
        return found

    def catch(self, error):
        """Take note of what a signal has raised: an `AlarmError` may become another on its way."""
        raised = type(error).__name__
        assert self.point.raises in (raised, "AlarmError")
        self.caught = raised
        if self.point.keeps:
            self.kept = error

    def on_signal(self, kind, number, frame):
        if self.armed:
            raise kind

    def arm(self):
        point = self.point
        self.armed = True
        sys._getframe().f_trace_opcodes = True  # or 3.12 counts no instruction at all
        if point.microseconds:
            signal.setitimer(signal.ITIMER_REAL, point.microseconds * 1e-6)
        else:
            self.library.interrupts_arm(point.at, point.again, SIGNALS[point.raises])

    def disarm(self):
        if self.point.microseconds:
            signal.setitimer(signal.ITIMER_REAL, 0)
        else:
            self.seen = self.library.interrupts_disarm()

    def check(self, found, bits):
        arrays = found if isinstance(found, tuple) else (found,)
        same = [np.float64(a).tobytes() == right for a, right in zip(arrays, bits, strict=False)]
        assert all(same), f"others of cost, gradient and products: {same}"

    def left(self):
        """Return the open files, the files in the folder, and the threads."""
        threads: list[str] = []
        for thread in threading.enumerate():
            # Python lists one for ever that a signal has kept from being started.
            if thread is not threading.main_thread() and thread.ident is not None:
                thread.join(1)
                threads += [thread.name] if thread.is_alive() else []
        descriptors = []
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # that of the listing itself
                descriptors.append(os.readlink(f"/proc/self/fd/{number}"))
        files = {path.name for path in self.folder.iterdir()} - {"run.h5", "run.h5.second"}
        # MPI's own stays open if the signal comes where MPI has just opened it.
        mine = [
            name for name in descriptors if self.point.case != "mpi" and str(self.folder) in name
        ]
        return sorted(mine), sorted(files), sorted(threads)


class Warmed:
    """Plays points in forks, in a folder."""

    def __init__(self, scratch):
        self.scratch, self.folder = scratch, scratch / "run"
        self.library = compiled(scratch)
        self.bits = {}

    def load(self):
        """Load what runs load, so that their forks need not."""
        for case in (*CASES, "mpi"):
            run = stepper(case)
            given = schedules.StoreAll(NUM_STEPS, leaf_steps=1)
            with adjoint.Functional(run, NUM_STEPS, schedule=given) as functional:
                cost, gradient = functional.value_and_gradient()
                products = functional.second_order(directions(case), block=2).products
            arrays = cost, gradient["m"], products["m"]
            self.bits[case] = tuple(np.float64(array).tobytes() for array in arrays)
        self.prepare("resumed")
        self.killed = self.folder.rename(self.scratch / "killed")

    def prepare(self, case):
        """Make the folder of a run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if case == "resumed" and hasattr(self, "killed"):
            shutil.copytree(self.killed, self.folder)
            return
        self.folder.mkdir()
        if case == "resumed":
            with suppress(driven_ring.CrashError):
                adjoint.gradient(
                    stepper(case, at=NUM_STEPS + 5),
                    NUM_STEPS,
                    max_lost_share=1e-6,
                    **options(case, self.folder),
                )

    def play(self, point):
        """Return what became of a point, played in a fork."""
        self.prepare(point.case)
        child = os.fork()
        if child == 0:
            self.evaluate(point)
        status = fault_forks.waited(child)
        said = (self.scratch / "said").read_text(errors="replace")
        if status is None:
            return failed(HANG, f"no end: {said[:6000]}")
        if status != signal.SIGTERM:
            return failed(WRONG, f"status {status}: {said[:6000]}")
        return json.loads((self.scratch / "outcome").read_text())

    def evaluate(self, point):
        """Play a point in this process, and end it, as a program ends."""
        said = os.open(self.scratch / "said", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(said, 1)
        os.dup2(said, 2)
        faulthandler.enable()
        faulthandler.dump_traceback_later(fault_forks.SECONDS_EACH - 3)
        session = Session(self.library, point, self.folder)
        try:
            session.run(self.bits[point.case])
        except BaseException:
            traceback.print_exc()
            sys.exit(1)
        outcome = {"end": RIGHT, "trouble": "", "seen": session.seen, "caught": session.caught}
        (self.scratch / "outcome").write_text(json.dumps(outcome))
        os.kill(os.getpid(), signal.SIGTERM)  # which no handler catches that was left behind
        sys.exit(2)


def failed(end, trouble):
    return {"end": end, "trouble": trouble, "seen": 0, "caught": ""}


def main():
    status_exchange.EXCHANGE_SECONDS = 0.0
    journal.MIN_GAP = 0
    warmed = Warmed(Path(sys.argv[1]))
    warmed.load()
    for line in sys.stdin:
        print(json.dumps(warmed.play(Point(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    import driven_ring
    import h5py  # noqa: F401

    import adjoint
    import adjoint.functional
    from adjoint import schedules
    from adjoint.parallel import status_exchange
    from adjoint.sweep import journal

    main()
