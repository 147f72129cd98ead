"""The reads of one sweep on this rank: which are under way, and which came to nothing.

What came to nothing is not raised: whether a state is lost is for all ranks to agree on, when it is
first used.
"""

from adjoint.errors import NonFiniteError, TransferError
from adjoint.storage.blocks import Block
from adjoint.storage.store import FileStore

__all__ = ["FileReads"]


class FileReads:
    """States that are being read from a store."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._ahead: set[int] = set()
        self._failed: set[int] = set()

    def __contains__(self, step: int) -> bool:
        """Whether a state is read ahead, and was not asked for yet."""
        return step in self._ahead

    def post_ahead(self, step: int, block: Block) -> None:
        """Post the read of a state that is asked for later."""
        self._post(step, block)
        self._ahead.add(step)

    def read(self, step: int, block: Block) -> None:
        """Read a state at once."""
        self._post(step, block)
        self.finish(step)

    def finish(self, step: int) -> bool:
        """Wait for a read; return whether the state is there, on this rank."""
        if step not in self._failed:
            try:
                self._store.wait(step)
            except TransferError:
                self._failed.add(step)
        return step not in self._failed

    def is_good(self, step: int) -> bool:
        """Whether a read that is over has the state there."""
        return step not in self._failed

    def forget(self, step: int) -> bool:
        """Forget a read; return whether it was ahead, so that it has a slot."""
        was_ahead = step in self._ahead
        self._ahead.discard(step)
        self._failed.discard(step)
        return was_ahead

    def clear(self) -> None:
        """Forget all reads."""
        self._ahead.clear()
        self._failed.clear()

    def _post(self, step: int, block: Block) -> None:
        try:
            self._store.prefetch(step, block)
        except (TransferError, NonFiniteError):
            self._failed.add(step)
