"""Snapshots in a file, by step: which row each has, and the transfer it may be waited for.

The engine moves bytes, the snapshot file knows where they go; the store is what a sweep talks
to. All ranks make the same calls in the same order, so rows are the same on every rank without a
word between them.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from adjoint.errors import ScheduleError
from adjoint.storage.engine import Engine, Transfer
from adjoint.storage.slots import Block

if TYPE_CHECKING:
    from adjoint.storage.snapshot_file import SnapshotFile

__all__ = ["FileStore"]


class FileStore:
    """The snapshots of one sweep after another in one file. Owns the file and the engine.

    No method but `close` is collective.
    """

    def __init__(self, file: "SnapshotFile", engine: Engine) -> None:
        self.file = file
        self.engine = engine
        self.peak_states = 0
        self._rows: dict[int, int] = {}
        self.observer: Callable[[str, int, float, float], None] | None = None
        """Told of every transfer that was waited for: its name, step, beginning and end."""
        self._transfers: dict[int, Transfer] = {}

    def __contains__(self, step: int) -> bool:
        return step in self._rows

    def offload(self, step: int, block: Block) -> None:
        """Post the write of `block`, which must not change until that is done, as state `step`."""
        if step in self._rows:
            raise ScheduleError(f"state {step} is in the file already")
        row = self._rows[step] = self.file.take_row()
        self.peak_states = max(self.peak_states, len(self._rows))
        self._transfers[step] = self.engine.write(row, block, step)

    def prefetch(self, step: int, block: Block) -> None:
        """Post the read of state `step` into `block`, once its write is done."""
        self.wait(step)
        self._transfers[step] = self.engine.read(self._rows[step], block, step)

    def wait(self, step: int) -> None:
        """Wait for the transfer of state `step`, if it has one.

        Raises
        ------
        TransferError
            The transfer failed, or what was read is not what was written.
        NonFiniteError
            The state that was written is not finite.
        """
        transfer = self._transfers.pop(step, None)
        if transfer is None:
            return
        transfer.wait()
        if self.observer is not None:
            self.observer(transfer.what.capitalize(), step, transfer.began, transfer.ended)

    def discard(self, step: int) -> None:
        """Give up state `step` and its row."""
        self.wait(step)
        self.file.give_back_row(self._rows.pop(step))

    def settle(self) -> Exception | None:
        """Wait for every transfer under way; return the first error among them."""
        errors: list[Exception] = []
        for step in list(self._transfers):
            try:
                self.wait(step)
            except Exception as error:  # returned, for all ranks to agree on
                errors.append(error)
        return errors[0] if errors else None

    def clear(self) -> Exception | None:
        """Give up every state; return the first error of the transfers that were under way."""
        error = self.settle()
        for row in self._rows.values():
            self.file.give_back_row(row)
        self._rows.clear()
        return error

    def close(self) -> None:
        """Close the engine, then the file. Collective on the file's communicator."""
        try:
            self.engine.close()
        finally:
            self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
