"""Rank 0 searches, and the other ranks serve its evaluations until it is done.

An optimiser that ran on every rank would hang at the first bit in which two ranks differ. Run on
one rank, it needs no agreement, and neither do transforms, priors and callbacks.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from adjoint.parallel import Communicator

__all__ = ["Lead"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Done:
    """Rank 0 is done; what it returns, pickled, unless it failed."""

    result: bytes | None


class Lead:
    """Work of rank 0 for which all ranks evaluate.

    Parameters
    ----------
    comm
        All ranks.
    perform
        Answers a request; collective. What it raises on every rank rank 0's work may handle.
    """

    def __init__(self, comm: Communicator, perform: Callable[[Any], Any]) -> None:
        self._comm = comm
        self._perform = perform
        self._leading = False

    def run(self, work: Callable[[], T]) -> T:
        """Run `work` on rank 0, and return its result on every rank. Collective.

        An exception of `work` is raised on every rank. Within `work`, on rank 0, `run` just calls.
        """
        if self._leading or self._comm.size == 1:
            return work()
        if self._comm.rank > 0:
            return cast(T, self._serve())
        self._leading = True
        error: BaseException | None = None
        result: Any = None
        packed: bytes | None = None
        try:
            result = work()
            packed = pickle.dumps(result)
        except BaseException as failure:
            error = failure
        self._leading = False
        self._comm.gather(_Done(packed))
        self._comm.agree(cast(Exception | None, error))
        return result

    def request(self, message: object) -> Any:
        """Let all ranks perform what `message` asks for; return rank 0's answer. In `work` only."""
        self._comm.gather(message)
        with self._comm.failing():
            return self._perform(message)

    def _serve(self) -> object:
        while True:
            message = self._comm.gather(None)[0]
            if isinstance(message, _Done):
                self._comm.agree(None)
                assert message.result is not None
                return pickle.loads(message.result)  # noqa: S301
            try:
                with self._comm.failing():
                    self._perform(message)
            except Exception:  # noqa: S112  (on rank 0 too, which decides what follows from it)
                continue
