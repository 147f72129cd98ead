"""Resources that are closed, also by a ``with`` statement."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from adjoint.errors import AdjointError

__all__ = ["Closing"]


class Closing(ABC):
    """A context manager whose exit calls `close`.

    If the ``with`` block has failed, an `AdjointError` of `close` becomes a note of that failure.
    """

    @abstractmethod
    def close(self) -> None:
        """Release what is held. Closing again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except AdjointError as failure:
            if error is None:
                raise
            error.add_note(f"besides, {failure}")
