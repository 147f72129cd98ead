"""Rank 0 searches, and the other ranks serve its evaluations until it is done.

An optimiser that ran on every rank would hang at the first bit in which two ranks differ. Run on
one rank, it needs no agreement, and neither do transforms, priors and callbacks.
"""

import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from adjoint.errors import AdjointError
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
        with self._comm.failing():
            return self._work(work) if self._comm.rank == 0 else cast(T, self._serve())

    def request(self, message: object) -> Any:
        """Let all ranks perform what `message` asks for; return rank 0's answer. In `work` only."""
        self._comm.gather(message)
        return self._performed(message)

    def _work(self, work: Callable[[], T]) -> T:
        result: Any = None
        error: Exception | None = None
        packed: bytes | None = None
        self._leading = True
        try:
            result = work()
            packed = pickle.dumps(result)
        except Exception as failure:
            error = failure
        finally:
            self._leading = False
        self._comm.gather(_Done(packed))
        self._comm.agree(error)
        return result

    def _performed(self, message: object) -> Any:
        """Perform on all ranks; what one of them raises they all raise."""
        answer: Any = None
        failure: AdjointError | None = None
        with self._comm.failing():
            try:
                answer = self._perform(message)
            except AdjointError as error:
                failure = error
            self._comm.agree(failure)
        return answer

    def _serve(self) -> object:
        while True:
            message = self._comm.gather(None)[0]
            if isinstance(message, _Done):
                self._comm.agree(None)
                assert message.result is not None
                return pickle.loads(message.result)
            with suppress(Exception):  # all ranks have it, and rank 0 decides what follows
                self._performed(message)
