"""The tapes of one sweep that are in a file, or on the way to or from it.

A tape is handed over by the stepper in pieces, blocks that the driver has lent it: each is written
to a row of the file, and read back into another block, like a state.
"""

from adjoint.errors import ScheduleError, StepperError
from adjoint.storage.blocks import Block
from adjoint.storage.row_keys import piece_key
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.file_reads import FileReads

__all__ = ["FileTapes"]


class FileTapes:
    """Moves tapes between a stepper and a store. No method is collective.

    Parameters
    ----------
    store, buffers
        Those of the sweep.
    pieces
        Of each tape; 0 if none goes to the file.

    Raises
    ------
    ScheduleError
        The file has no room for tapes.
    """

    def __init__(self, store: FileStore, buffers: Buffers, pieces: int) -> None:
        if pieces and store.file.placement.piece is None:
            raise ScheduleError(f"{store.file.path} was made for states alone: no tape fits")
        self.pieces = pieces
        self._store = store
        self._buffers = buffers
        self._reads = FileReads(store)
        self._coming: dict[int, list[Block]] = {}
        """First step of each tape that is being read -> the blocks for its pieces."""

    def keys(self, start: int) -> list[int]:
        """Return what the store calls the pieces of a tape."""
        return [piece_key(start, piece) for piece in range(self.pieces)]

    def offload(self, start: int, stop: int) -> None:
        """Take a tape from the stepper and post its writes; its blocks are free when these end."""
        blocks = self._buffers.release_tape(start, stop)
        if len(blocks) != self.pieces:
            raise StepperError(
                f"the tape of the steps [{start}, {stop}) consists of {len(blocks)} pieces, "
                f"tape_pieces({stop - start}) is {self.pieces}"
            )
        for key, block in zip(self.keys(start), blocks, strict=True):
            self._store.offload(key, block)
        self._buffers.give_back_pieces(blocks)
        self._store.end_writes()

    def prefetch(self, start: int) -> None:
        """Post the reads of a tape, unless they are."""
        if start not in self._coming:
            blocks = self._coming[start] = self._buffers.take_pieces(self.pieces)
            for key, block in zip(self.keys(start), blocks, strict=True):
                self._reads.post_ahead(key, block)

    def finish(self, start: int) -> bool:
        """Wait for the reads of a tape; return whether all of it is there, on this rank."""
        failed = [key for key in self.keys(start) if not self._reads.finish(key)]
        return not failed

    def restore(self, start: int, stop: int) -> None:
        """Make a tape that has been read the stepper's."""
        self._buffers.restore_tape(start, stop, self._coming.pop(start))

    def give_up(self, start: int) -> None:
        """Forget a tape that could not be read on some rank."""
        self._buffers.give_back_pieces(self._coming.pop(start))

    def consume(self, start: int) -> None:
        """Discard a tape in the file, if it is there: it was pulled back."""
        for key in self.keys(start):
            if key in self._store:
                self._store.discard(key)

    def drop(self) -> None:
        """Forget all reads, which have ended."""
        self._reads.drop()
        for blocks in self._coming.values():
            self._buffers.give_back_pieces(blocks)
        self._coming.clear()
