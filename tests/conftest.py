"""What every test gets: a seeded generator, and a check that it leaves nothing behind.

A test that requires an optional dependency says so with ``@pytest.mark.needs("torch")`` or, where
its module imports it, with ``torch = pytest.importorskip("torch")``. Each absent dependency is one
line of the summary, with the command that installs it.

``./dev test`` runs most tests side by side, one process per core, and afterwards the tests marked
``alone``, one at a time. Every test that starts more than one rank gets that mark here.
"""

import importlib
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# PETSc would list what it did not use after the closing line of the suite.
os.environ.setdefault("PETSC_OPTIONS", "-options_left no")

GRACE_SECONDS = 1.0
"""How long threads and files that a test has released may take to disappear."""

WAYS_TO_GET = {
    "checkpoint_schedules": "./dev test, or pip install checkpoint-schedules",
    "dolfinx": "./dev test on Python 3.12 or newer, or pip install dolfinx-solver-real",
    "h5py-mpi": "./dev test --distribution",
    "jax": "./dev test on Python 3.12 or newer, or pip install jax",
    "mpi4py": "./dev test, or pip install mpich mpi4py",
    "mpirun": "./dev test, or pip install mpich",
    "petsc4py": "./dev test on Python 3.12 or newer, or ./dev test --distribution",
    "pyrevolve": "pip install pyrevolve, which takes a C++ compiler",
    "torch": "./dev test --distribution, or pip install torch",
    "xdist": "./dev test, or pip install pytest-xdist",
}

LOADED_BY = {"dolfinx": "solvers.fenicsx.libraries"}
"""Modules that must be loaded together with others, in a certain order."""

RECORD_VARIABLE = "ADJOINT_TEST_RECORD"
"""Names a file to which a run appends "PASSED FAILED PATH" for each test file, two counts first."""

# The same examples in every run, and on every rank.
hypothesis.settings.register_profile("seeded", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("seeded")


@pytest.fixture
def rng() -> np.random.Generator:
    """A random number generator with the same seed in every run."""
    return np.random.default_rng(1806_01117)


@pytest.fixture(autouse=True)
def nothing_left_behind(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test that leaves a thread running, a file open, or a scratch file."""
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    measured = sys.modules.get("adjoint.measurement.remembered")
    if measured is not None:
        vars(measured)["_found"].clear()  # measure anew in each test
    threads, files = set(threading.enumerate()), open_files()
    yield
    deadline = time.monotonic() + GRACE_SECONDS
    while left := leftovers(threads, files, scratch):
        if time.monotonic() > deadline:
            pytest.fail("left behind: " + "; ".join(left), pytrace=False)
        time.sleep(0.01)
    scratch.rmdir()


def leftovers(threads: set[threading.Thread], files: Counter[str], scratch: Path) -> list[str]:
    """Return a description of each thread, open file and scratch file that is new."""
    return [
        *(f"thread {thread.name}" for thread in set(threading.enumerate()) - threads),
        *(f"open file {path}" for path in (open_files() - files)),
        *(f"scratch file {path}" for path in scratch.iterdir()),
    ]


def open_files() -> Counter[str]:
    """Count the descriptors of each open file and pipe; sockets and devices belong to MPI."""
    found: Counter[str] = Counter()
    folder = Path("/proc/self/fd")
    for descriptor in os.listdir(folder) if folder.is_dir() else ():
        try:
            target = os.readlink(folder / descriptor)
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
        if target.startswith("pipe:") or (target[0] == "/" and not is_of_the_system(target)):
            found[target] += 1
    return found


def is_of_the_system(path: str) -> bool:
    """Return whether no test opened this file; matplotlib, for one, never closes its fonts."""
    return path.startswith(("/dev/", "/proc/", "/sys/")) or "/mpl-data/fonts/" in path


# What is absent ----------------------------------------------------------------------------------


@cache
def is_present(name: str) -> bool:
    """Return whether a module, ``mpirun`` or an MPI build of h5py can be used."""
    if name == "mpirun":
        return mpirun() is not None
    if name == "h5py-mpi":
        # Debian's h5py is its MPI build only once MPI runs, and so under mpirun alone.
        return is_present("h5py") and importlib.import_module("h5py").get_config().mpi
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(LOADED_BY.get(name, name))
        except ImportError:
            return False
    return True


def mpirun() -> str | None:
    """Return the mpirun of this environment: the one beside its Python, else that on PATH."""
    beside = Path(sys.executable).with_name("mpirun")
    return str(beside) if beside.exists() else shutil.which("mpirun")


@pytest.hookimpl(tryfirst=True)  # before `-m alone` selects tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        needs = {name for mark in item.iter_markers("needs") for name in mark.args}
        for name in sorted(needs):
            if not is_present(name):
                item.add_marker(pytest.mark.skip(reason=f"needs {name}, which is absent"))
        # A ranked run (see parallel/conftest.py) has a number of ranks; others start two or more.
        if "mpirun" in needs and getattr(item, "num_ranks", 2) > 1:
            item.add_marker(pytest.mark.alone)


def absent_in(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Return the absent dependency for which a test or module was skipped, if that was why."""
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return None
    reason = report.longrepr[2]
    found = re.search(r"needs (\S+), which is absent|could not import '(\w+)", reason)
    return found and (found[1] or found[2])


# What was run ------------------------------------------------------------------------------------


class Account:
    """Counts what passed and failed in each file, and what each absent dependency skipped.

    A run under mpirun (see parallel/conftest.py) is one test here; its report's `user_properties`
    hold the number of ranks, of tests passed on each, and of skips for each absent dependency.
    Under pytest-xdist the reports of all workers arrive here, in the process that started them;
    a module that every worker skipped arrives once.
    """

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.ranked: list[tuple[str, int, int]] = []
        self.absent: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if name := absent_in(report):
            self.absent[name] += 1
        path = report.nodeid.partition("::")[0]
        self.failed[path] += report.failed
        if report.when != "call":
            return
        properties = dict(report.user_properties)
        self.absent.update(properties.get("absent", {}))
        if report.passed:
            self.passed[path] += 1
            if "num_ranks" in properties:
                self.ranked.append((path, properties["num_ranks"], properties["num_passed"]))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if name := absent_in(report):
            self.absent[name] += 1
        self.failed[report.nodeid] += report.failed

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        record = os.environ.get(RECORD_VARIABLE)
        is_worker = hasattr(session.config, "workerinput")
        if record and not is_worker:
            paths = sorted(self.passed | self.failed)
            lines = (f"{self.passed[path]} {self.failed[path]} {path}\n" for path in paths)
            with open(record, "a", encoding="utf-8") as file:
                file.writelines(lines)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        if self.ranked:
            terminalreporter.section("Under mpirun")
        for path, num_ranks, num_passed in self.ranked:
            ranks = "1 rank" if num_ranks == 1 else f"{num_ranks} ranks"
            write(f"{path}: {num_passed} passed on {ranks}")
        if self.absent:
            terminalreporter.section("Absent optional dependencies")
        for name, count in sorted(self.absent.items()):
            command = WAYS_TO_GET.get(name, f"pip install {name}")
            write(f"{name}: {count} skipped without it; to install it: {command}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Account())
