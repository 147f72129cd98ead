"""Runs each test file of this folder under mpirun, once for each number of ranks it requests.

Outside mpirun a file is collected as one test per entry of its ``RANKS`` (default 1, 2 and 3),
named ``[2 ranks]``; such a test starts ``mpirun -n 2 python -m pytest FILE`` and fails unless every
rank has passed the same tests, and at least one. Inside mpirun the file is collected as usual; a
test gets `comm`, and a `tmp_path` that is the same on all ranks. ``mpirun -n 2 python -m pytest
FILE`` by hand does the same.

A test that fails on one rank would leave the others waiting for it in MPI. So the rank writes its
failure to a file at once and then aborts all ranks. A test that hangs prints the stacks of all
its threads and ends, which aborts the others too.
"""

import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RECORD_VARIABLE, absent_in, mpirun

INSIDE = any(
    name in os.environ
    for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")
)
"""Whether this process was started by mpirun."""

if INSIDE:
    from mpi4py import MPI

RUN_SECONDS = 300
"""Time limit of one file on one number of ranks."""

GRACE_SECONDS = 5
"""How long mpirun may take to end its ranks after SIGTERM."""

FOLDER_VARIABLE = "ADJOINT_RANKED_RUN"
"""Names the folder for the reports of a run's ranks. It also identifies their processes."""

SIZE_VARIABLE = "ADJOINT_RANKS"


# Outside mpirun ----------------------------------------------------------------------------------


def rank_counts(path: Path) -> tuple[int, ...]:
    """Return the literal that a file assigns to ``RANKS``, without running the file."""
    for statement in ast.parse(path.read_text(), str(path)).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="RANKS")], value=value):
                return tuple(ast.literal_eval(value))
    return (1, 2, 3)


class RankedFile(pytest.File):
    """A test file, to be run under mpirun."""

    def collect(self) -> Iterable["RankedRun"]:
        for num_ranks in rank_counts(self.path):
            ranks = "1 rank" if num_ranks == 1 else f"{num_ranks} ranks"
            yield RankedRun.from_parent(self, name=f"[{ranks}]", num_ranks=num_ranks)


class RankedRunError(Exception):
    """A run under mpirun that did not pass, with all its output."""


class RankedRun(pytest.Item):
    """One run of a file on `num_ranks` ranks."""

    def __init__(self, *, num_ranks: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_ranks = num_ranks
        self.add_marker(pytest.mark.needs("mpirun"))
        self.add_marker(pytest.mark.timeout(RUN_SECONDS + 4 * GRACE_SECONDS))

    def runtest(self) -> None:
        with tempfile.TemporaryDirectory(prefix="ranks-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            try:
                ending = self.run_ranks(folder)
            finally:
                end_all(folder)
            self.judge(folder, ending)

    def run_ranks(self, folder: Path) -> str:
        """Run the file, and return how mpirun ended."""
        command = [str(mpirun()), "-n", str(self.num_ranks), sys.executable, "-m", "pytest", "-x"]
        command += ["-q", "--color=no", "-p", "no:cacheprovider", "--timeout-method=thread"]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [*command, str(self.path)],
                cwd=self.config.rootpath,
                env=environment(folder, self.num_ranks),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return f"exit code {process.wait(RUN_SECONDS)}"
            except subprocess.TimeoutExpired:
                return f"still running after {RUN_SECONDS} s"
            finally:
                end(process)

    def judge(self, folder: Path, ending: str) -> None:
        """Raise unless every rank has passed the same tests, and at least one."""
        reports = [read_report(folder, rank) for rank in range(self.num_ranks)]
        num_passed, absent = reports[0]["num_passed"], reports[0]["absent"]
        sound = ending == "exit code 0" or (absent and ending == "exit code 5")
        if not sound or any(report != reports[0] for report in reports):
            raise RankedRunError(output_of(folder, f"mpirun: {ending}; the ranks: {reports}"))
        if num_passed == 0 and absent:
            pytest.skip(f"needs {next(iter(absent))}, which is absent")
        if num_passed == 0:
            raise RankedRunError(output_of(folder, "no test was run"))
        self.user_properties += [
            ("num_ranks", self.num_ranks),
            ("num_passed", num_passed),
            ("absent", absent),
        ]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        if isinstance(excinfo.value, RankedRunError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}{self.name}"


def environment(folder: Path, num_ranks: int) -> dict[str, str]:
    """Return the environment of the ranks: this one, without the settings of this run of pytest."""
    variables = dict(os.environ)
    for name in ("PYTEST_ADDOPTS", RECORD_VARIABLE):
        variables.pop(name, None)
    variables |= {
        FOLDER_VARIABLE: str(folder),
        SIZE_VARIABLE: str(num_ranks),
        "PYTHONFAULTHANDLER": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # Open MPI 4 and 5: more ranks than cores.
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    if os.geteuid() == 0:
        variables |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return variables


def end(process: subprocess.Popen[bytes]) -> None:
    """End mpirun if it still runs: by SIGTERM first, because only it knows all its ranks."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_all(folder: Path) -> None:
    """Kill what is left of a run, found by its environment: ranks have their own sessions."""
    mark = f"{FOLDER_VARIABLE}={folder}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def read_report(folder: Path, rank: int) -> dict[str, Any]:
    """Return what a rank wrote when it was done; a rank that died wrote nothing."""
    path = folder / f"report-{rank}.json"
    return json.loads(path.read_text()) if path.exists() else {"num_passed": None, "absent": {}}


def output_of(folder: Path, ending: str) -> str:
    """Return the failures that ranks wrote to files, and everything they printed."""
    failures = [path.read_text() for path in sorted(folder.glob("failure-*"))]
    output = (folder / "output").read_text(errors="replace")
    return "\n".join([*failures, "---- output of all ranks ----", output, ending])


# Inside mpirun -----------------------------------------------------------------------------------


class Rank:
    """Makes a rank write a report of its tests, and abort all ranks at a failure."""

    def __init__(self) -> None:
        self.comm = MPI.COMM_WORLD
        self.num_passed = 0
        self.absent: Counter[str] = Counter()
        folder = os.environ.get(FOLDER_VARIABLE)
        self.folder = folder and Path(folder)
        if self.folder:
            # Ranks that share a root for their `tmp_path` clean up under each other's feet.
            root = self.folder / f"rank-{self.comm.rank}"
            root.mkdir()
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(root)
        wanted = int(os.environ.get(SIZE_VARIABLE, self.comm.size))
        if self.comm.size != wanted:
            raise pytest.UsageError(
                f"mpirun started {wanted} ranks, but mpi4py sees {self.comm.size}: it was built"
                f" for another MPI than the one of {mpirun()}"
            )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        names = self.comm.allgather([item.nodeid for item in session.items])
        if any(others != names[0] for others in names):
            raise pytest.UsageError(f"ranks collected different tests: {names}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if name := absent_in(report):
            self.absent[name] += 1
        if report.failed:
            self.fail(f"{report.nodeid} could not be collected", report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if name := absent_in(report):
            self.absent[name] += 1
        self.num_passed += report.when == "call" and report.passed
        if report.failed:
            sections = [f"---- {title} ----\n{text}" for title, text in report.sections]
            self.fail(
                f"{report.nodeid} failed in {report.when}",
                "\n".join([report.longreprtext, *sections]),
            )

    def pytest_internalerror(self, excrepr: object) -> None:
        self.fail("pytest itself failed", str(excrepr))

    def pytest_sessionfinish(self) -> None:
        if self.folder:
            report = {"num_passed": self.num_passed, "absent": self.absent}
            path = self.folder / f"report-{self.comm.rank}.json"
            path.write_text(json.dumps(report))

    def fail(self, what: str, text: str) -> None:
        """Write a failure to a file, or to standard error, and abort all ranks."""
        if self.comm.size == 1:
            return  # pytest reports it, and no other rank waits
        message = f"==== rank {self.comm.rank} of {self.comm.size}: {what} ====\n{text}\n"
        if self.folder:
            (self.folder / f"failure-{self.comm.rank}").write_text(message)
        else:
            os.write(sys.__stderr__.fileno(), message.encode())
        self.comm.Abort(1)


if INSIDE:

    def pytest_configure(config: pytest.Config) -> None:
        config.pluginmanager.register(Rank())

    @pytest.fixture(scope="session")
    def comm() -> Any:
        """All ranks of this run."""
        return MPI.COMM_WORLD

    @pytest.fixture
    def tmp_path(tmp_path: Path, comm: Any) -> Path:
        """One folder for all ranks: that of rank 0."""
        return comm.bcast(tmp_path)

else:

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> RankedFile:
        return RankedFile.from_parent(parent, path=module_path)
