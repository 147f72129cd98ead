"""The few operations that ranks need to agree on something, for one process and for many alike.

`communicator(None)` is one process; `communicator(comm)` wraps an mpi4py communicator. mpi4py
is never imported here: a caller who has a communicator has imported it already, so importing
this package never initialises MPI.

Ranks agree on an error before the next collective call (`Communicator.agree`). An error that only
some ranks meet inside the computation, while the others wait for them in a call that never
returns, ends all ranks (`Communicator.failing`): with a traceback, never a hang.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from reprlib import repr as short_repr
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["Communicator", "Reduction", "communicator"]

MAX_REDUCTION_ELEMENTS = 1 << 24
"""Larger arrays are summed in pieces: MPI counts are 32-bit, and a piece needs a second array."""

GRACE_SECONDS = 5.0
"""How long a rank with an error waits for the others to fail as well, before it ends them."""


class Reduction(Protocol):
    """A reduction over all ranks that goes on while the ranks compute."""

    def progress(self) -> None:
        """Let MPI work on it: MPI makes no progress unless it is called. Never blocks."""
        ...

    def result(self) -> NDArray[np.float64]:
        """Wait until every rank has begun it; return the result, the same on every rank."""
        ...


class Communicator(Protocol):
    """Ranks that compute together. Every method but `has_agreed` and `failing` is collective."""

    rank: int
    size: int
    mpi: Any
    """The mpi4py communicator, a duplicate of the user's; None for one process."""

    def gather(self, value: object) -> list[Any]:
        """Return every rank's value, in rank order, on every rank."""
        ...

    def sum(self, array: NDArray[Any]) -> None:
        """Replace a C-contiguous array by its sum over ranks: the same bits on every rank."""
        ...

    def begin_largest(self, values: NDArray[np.float64]) -> Reduction:
        """Start an elementwise maximum over all ranks' values; never blocks.

        `values` are copied. Every rank must ask for the result before it frees the communicator.
        """
        ...

    def has_agreed(self, error: BaseException) -> bool:
        """Return whether every rank has raised this error at the same call, by `agree`.

        A single rank has agreed with itself.
        """
        ...

    def agree(self, error: Exception | None) -> None:
        """Return if no rank has an error; else raise on every rank.

        A rank with an error raises its own; the others raise one of the same type, whose message
        is that of the first rank with an error and names it.
        """
        ...

    def failing(self) -> Any:
        """Return a context in which an exception that only some ranks raise ends all ranks."""
        ...

    def on_this_node(self) -> "Communicator":
        """Return a new communicator of the ranks that share this one's memory; free it."""
        ...

    def free(self) -> None:
        """Free the duplicates that this object made of the caller's communicator. Idempotent."""
        ...


def communicator(comm: Any) -> Communicator:
    """Wrap an mpi4py intracommunicator, or None for one process. Collective on `comm`.

    Raises
    ------
    ArgumentError
        `comm` is not a communicator, or it is an intercommunicator or null.
    """
    if comm is None:
        return _OneProcess()
    if not hasattr(comm, "Get_rank"):
        raise ArgumentError(f"comm must be an mpi4py communicator or None, not {short_repr(comm)}")
    if not comm or comm.Is_inter():
        raise ArgumentError(
            "comm must be an intracommunicator: this one is null or an intercommunicator"
        )
    return _ManyProcesses(comm)


class _OneProcess:
    """A communicator of one process, without MPI."""

    rank = 0
    size = 1
    mpi = None

    def gather(self, value: object) -> list[Any]:
        return [value]

    def sum(self, array: NDArray[Any]) -> None:
        del array

    def begin_largest(self, values: NDArray[np.float64]) -> Reduction:
        return _Immediate(values.copy())

    def has_agreed(self, error: BaseException) -> bool:
        del error
        return True

    def agree(self, error: Exception | None) -> None:
        if error is not None:
            raise error

    @contextmanager
    def failing(self) -> Generator[None, None, None]:
        yield

    def on_this_node(self) -> "Communicator":
        return _OneProcess()

    def free(self) -> None:
        pass


class _Immediate:
    """A reduction over a single rank: its result is there at once."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._values = values

    def progress(self) -> None:
        pass

    def result(self) -> NDArray[np.float64]:
        return self._values


class _Nonblocking:
    """An `Iallreduce`, with the memory that MPI reads and writes until it is done."""

    def __init__(self, comm: Any, values: NDArray[np.float64], operation: Any) -> None:
        self._sent = values.copy()
        self._received = np.empty_like(self._sent)
        self._request = comm.Iallreduce(self._sent, self._received, operation)

    def progress(self) -> None:
        self._request.Test()

    def result(self) -> NDArray[np.float64]:
        self._request.Wait()
        return self._received


class _ManyProcesses:
    """An mpi4py communicator, duplicated twice: for the driver's messages, and for `failing`."""

    def __init__(self, comm: Any) -> None:
        self.mpi = comm.Dup()
        self._failures = comm.Dup()
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()
        self._agreed: BaseException | None = None
        self._is_out_of_step = False
        """Whether each rank has failed by itself: then collective calls may be under way."""
        self._process = os.getpid()
        # Taken from the module of the caller's communicator, because nothing here imports mpi4py.
        self._largest = sys.modules[type(comm).__module__].MAX

    def gather(self, value: object) -> list[Any]:
        return self.mpi.allgather(value)

    def sum(self, array: NDArray[Any]) -> None:
        flat = array.reshape(-1)
        for start in range(0, flat.size, MAX_REDUCTION_ELEMENTS):
            piece = flat[start : start + MAX_REDUCTION_ELEMENTS]
            total = np.empty_like(piece)
            self.mpi.Allreduce(piece, total)
            self.mpi.Bcast(total)
            piece[...] = total

    def begin_largest(self, values: NDArray[np.float64]) -> Reduction:
        return _Nonblocking(self.mpi, values, self._largest)

    def has_agreed(self, error: BaseException) -> bool:
        return self.size == 1 or error is self._agreed

    def agree(self, error: Exception | None) -> None:
        described = None if error is None else (type(error), str(error))
        for rank, failure in enumerate(self.gather(described)):
            if failure is not None:
                kind, message = failure
                self._agreed = error or _same_kind(kind, f"rank {rank}: {message}")
                raise self._agreed

    @contextmanager
    def failing(self) -> Generator[None, None, None]:
        try:
            yield
        except BaseException as error:
            is_a_child = os.getpid() != self._process  # which may call no MPI
            if not (is_a_child or self.has_agreed(error)):
                self._is_out_of_step = True
                if not self._all_fail():
                    self._end_all_ranks(error)
            raise

    def _end_all_ranks(self, error: BaseException) -> None:
        """Print an error and end all ranks, whether or not standard error can be written.

        A thread prints, because a pipe that nobody reads blocks for ever; then what MPI prints when
        it aborts goes nowhere.
        """
        trace = "".join(traceback.format_exception(error))
        message = f"{trace}rank {self.rank} failed alone: ending all ranks\n"
        try:
            printing = threading.Thread(target=_print_error, args=[message], daemon=True)
            printing.start()
            printing.join(GRACE_SECONDS)
            if printing.is_alive():
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        finally:
            self.mpi.Abort(1)

    def _all_fail(self) -> bool:
        request = self._failures.Ibarrier()
        deadline = time.monotonic() + GRACE_SECONDS
        while not request.Test():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def on_this_node(self) -> Communicator:
        shared = sys.modules[type(self.mpi).__module__].COMM_TYPE_SHARED
        node = self.mpi.Split_type(shared)
        try:
            return _ManyProcesses(node)
        finally:
            node.Free()

    def free(self) -> None:
        if self.mpi and not self._is_out_of_step:
            self.mpi.Free()
            self._failures.Free()


def _print_error(message: str) -> None:
    # An AttributeError if there is no standard error, a ValueError if it is closed.
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(message)
        sys.stderr.flush()


def _same_kind(kind: Callable[[str], Exception], message: str) -> Exception:
    try:
        return kind(message)
    except TypeError:
        return RuntimeError(message)
