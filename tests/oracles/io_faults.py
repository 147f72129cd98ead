"""Faults of the system calls of a process and its libraries: a library for LD_PRELOAD.

`IoFaults` names calls on the files of a folder and what is to happen to them; `environment` is what
a process, or mpirun, is started with. Calls are counted in each process from its start. Kinds are
"open", "read", "write", "fallocate", "fsync", "rename" and "ftruncate", each with its variants
(`pwritev2` and `aio_write` are writes); "aio_write" and "aio_read" are those of asynchronous
transfers alone. With ``first=0`` nothing fails, and `calls` lists what there is to fail::

    faults = IoFaults(folder, "write", first=3, what=errno.EIO, rank=1)
    subprocess.run(command, env=faults.environment(scratch), timeout=60)
    assert [call.is_fault for call in faults.calls(scratch, rank=1)].count(True) == 1
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["IoCall", "IoFaults"]

SOURCE = Path(__file__).with_suffix(".c")


@dataclass(frozen=True)
class IoCall:
    """A call that counted."""

    number: int
    kind: str
    nbytes: int
    """-1 where the call has no size."""
    is_fault: bool


@dataclass(frozen=True)
class IoFaults:
    """Which calls go wrong, and how."""

    folder: Path
    """Only calls on files below it count."""
    kinds: str = "any"
    """Comma-separated."""
    first: int = 0
    """Number of the first call that goes wrong, from 1; 0 for none."""
    what: int | str = "none"
    """An error number; "short": half the bytes are moved; "kill": the process gets SIGKILL;
    "hang": the call never returns, or the asynchronous transfer never ends."""
    count: int = 1
    """How many calls in a row go wrong."""
    rank: int | None = None
    """The MPI rank that this happens to; None for all."""
    least_bytes: int = 0
    """Reads, writes and reservations of fewer bytes do not count."""

    def environment(self, scratch: Path) -> dict[str, str]:
        """Return the environment of a process to which this happens; the library is in `scratch`.

        `scratch` must not be below `folder`. The test is skipped where there is no C compiler.
        """
        given = {
            "FOLDER": os.path.realpath(self.folder),
            "CALLS": self.kinds,
            "FIRST": str(self.first),
            "COUNT": str(self.count),
            "WHAT": str(self.what),
            "LEAST_BYTES": str(self.least_bytes),
            "LOG": str(scratch / "io-calls"),
        }
        if self.rank is not None:
            given["RANK"] = str(self.rank)
        preload = {"LD_PRELOAD": str(_library(scratch))}
        return {**os.environ, **preload, **{f"IO_FAULTS_{key}": given[key] for key in given}}

    def calls(self, scratch: Path, rank: int = 0) -> list[IoCall]:
        """Return the calls that counted on a rank, and forget them."""
        path = scratch / f"io-calls.{rank}"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        words = [line.split() for line in lines]
        return [IoCall(int(n), kind, int(size), last == "fault") for n, kind, size, last in words]


def _library(scratch: Path) -> Path:
    """Return the compiled library, made once in a folder."""
    library = scratch / "io_faults.so"
    if not library.exists():
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs cc, which is absent")
        made = library.with_suffix(f".{os.getpid()}")
        options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", str(made)]
        subprocess.run([compiler, *options, str(SOURCE), "-ldl", "-lpthread"], check=True)
        made.replace(library)
    return library
