"""Work on a file that may fail on some ranks only, and must then fail on all."""

from collections.abc import Callable
from typing import TypeVar, cast

from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator

__all__ = ["on_all_ranks"]

T = TypeVar("T")


def on_all_ranks(
    work: Callable[[], T],
    comm: Communicator,
    *,
    failing: str,
    catch: type[Exception] = OSError,
    undo: Callable[[T], object] | None = None,
) -> T:
    """Return what `work` returns on this rank; if it fails on any rank, raise on every rank.

    Collective on `comm`.

    Parameters
    ----------
    work
        Done by every rank.
    failing
        What an error means, such as "cannot open run.h5": how the message begins, unless `work`
        raised a `SnapshotFileError` itself.
    catch
        The errors to agree on.
    undo
        Called with the result of `work` where it succeeded, if it failed on another rank.

    Raises
    ------
    SnapshotFileError
        On every rank.
    """
    result: T | None = None
    error: SnapshotFileError | None = None
    try:
        result = work()
    except SnapshotFileError as failure:
        error = failure
    except catch as failure:
        error = SnapshotFileError(f"{failing}: {failure}")
        error.__cause__ = failure
    try:
        comm.agree(error)
    except SnapshotFileError:
        if error is None and undo is not None:
            undo(cast("T", result))
        raise
    return cast("T", result)
