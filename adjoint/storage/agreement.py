"""Work on a file that may fail on some ranks only, and must then fail on all."""

from collections.abc import Callable
from typing import TypeVar

from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator, agree_on

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

    As `adjoint.parallel.agree_on`, but for a `SnapshotFileError`, whose message begins with what
    `failing` says, such as "cannot open run.h5", unless `work` raised one itself.
    """

    def translate(failure: Exception) -> Exception:
        is_ours = isinstance(failure, SnapshotFileError)
        return failure if is_ours else SnapshotFileError(f"{failing}: {failure}")

    return agree_on(work, comm, catch=(SnapshotFileError, catch), translate=translate, undo=undo)
