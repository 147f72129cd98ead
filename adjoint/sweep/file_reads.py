"""The reads of one sweep on this rank: which are under way, and which have failed.

A failed read raises nothing here: the ranks agree on whether a state is lost when it is first used.
"""

from adjoint.errors import NonFiniteError, TransferError
from adjoint.storage.blocks import Block
from adjoint.storage.store import FileStore

__all__ = ["FileReads"]


class FileReads:
    """States that are being read from a store. No method is collective."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._ahead: set[int] = set()
        self._failed: set[int] = set()

    def __contains__(self, step: int) -> bool:
        """Whether state `step` is read ahead, and was not used yet."""
        return step in self._ahead

    def post_ahead(self, step: int, block: Block) -> None:
        """Post the read of a state that is used later."""
        self._post(step, block)
        self._ahead.add(step)

    def read(self, step: int, block: Block) -> None:
        """Post the read of a state and wait for it."""
        self._post(step, block)
        self._wait(step)

    def finish(self, step: int) -> bool:
        """Wait for a read, and forget it; return whether the state is there, on this rank."""
        self._wait(step)
        succeeded = step not in self._failed
        self._ahead.discard(step)
        self._failed.discard(step)
        return succeeded

    def drop(self) -> list[int]:
        """Forget all reads; return the states that were read ahead, whose slots are of no use."""
        dropped = sorted(self._ahead)
        self._ahead.clear()
        self._failed.clear()
        return dropped

    def _post(self, step: int, block: Block) -> None:
        try:
            self._store.prefetch(step, block)
        except (TransferError, NonFiniteError):
            self._failed.add(step)

    def _wait(self, step: int) -> None:
        if step not in self._failed:
            try:
                self._store.wait(step)
            except TransferError:
                self._failed.add(step)
