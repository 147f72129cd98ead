"""Agreement between ranks: on errors, on extreme values, on equal arguments. All is collective.

An error that one rank meets must be raised on all of them before the next collective call, or the
others wait in it for ever. `agree_on` does that for work that can fail on some ranks only.
"""

import re
from collections.abc import Callable
from typing import TypeVar, cast

from adjoint.errors import ArgumentError
from adjoint.parallel.communication import Communicator

__all__ = ["agree_on", "largest", "require_same", "smallest"]

T = TypeVar("T")

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=[ >])")
"""The address in the default `repr` of an object or a function: it differs between ranks."""


def agree_on(
    work: Callable[[], T],
    comm: Communicator,
    *,
    catch: type[Exception] | tuple[type[Exception], ...],
    translate: Callable[[Exception], Exception] | None = None,
    undo: Callable[[T], object] | None = None,
) -> T:
    """Return what `work` returns on this rank; if it fails on any rank, raise on every rank.

    Collective on `comm`; `work` itself need not be. A rank on which it failed raises its own error,
    the others one of the same kind that names the rank.

    Parameters
    ----------
    work
        What may fail on some ranks only.
    comm
        The ranks that succeed or fail together.
    catch
        The errors to agree on. Any other one is this rank's alone.
    translate
        Makes the error to be raised of the one that was caught, which becomes its cause. By default
        the one that was caught.
    undo
        Given the result where `work` succeeded on this rank but failed on another.
    """
    result: T | None = None
    error: Exception | None = None
    try:
        result = work()
    except catch as failure:
        error = failure
        if translate is not None:
            error = translate(failure)
        if error is not failure:
            error.__cause__ = failure
    try:
        comm.agree(error)
    except BaseException as failed:
        if error is None and undo is not None and comm.has_agreed(failed):
            undo(cast(T, result))
        raise
    return cast(T, result)


def largest(value: float, comm: Communicator) -> float:
    """Return the largest of all ranks' values, on every rank. Collective."""
    return max(comm.gather(value))


def smallest(value: int, comm: Communicator) -> int:
    """Return the smallest of all ranks' values, on every rank. Collective."""
    return min(comm.gather(value))


def require_same(comm: Communicator, **arguments: object) -> None:
    """Raise on every rank unless all ranks have arguments of the same `repr`. Collective.

    Addresses in a `repr` are left out. So a function is compared by its name, and an object whose
    class defines no `__repr__` by that class.

    Raises
    ------
    ArgumentError
        Ranks differ: the message names the argument and the values.
    """
    described = {name: ADDRESS.sub("", repr(value)) for name, value in arguments.items()}
    ranks = comm.gather(described)
    for name, value in ranks[0].items():
        for rank, other in enumerate(ranks):
            if other.get(name) != value:
                raise ArgumentError(
                    f"ranks were called with different arguments: {name}={value} on rank 0, "
                    f"{other.get(name)} on rank {rank}"
                )
