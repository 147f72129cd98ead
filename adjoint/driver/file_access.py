"""The file of a functional: what is there already, what is made, and the journal in it.

Nothing here imports h5py before there is a file: under mpirun that may initialise MPI.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adjoint import storage
from adjoint.driver.options import Wishes
from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.steppers.protocol import Stepper
from adjoint.storage.file_format import JOURNAL_RECORDS, FileSpec, JournalLayout
from adjoint.storage.journal_file import JournalFile
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.journal import Journal

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory
    from adjoint.storage.store import FileStore

__all__ = ["FileAccess"]

MOST_ACCEPTED = 1 << 27
"""Accepted steps of a run whose end is not known: two gigabytes of a sparse file."""


@dataclass(slots=True)
class FileAccess:
    """The ways to the file that a caller named. Every method is collective on `comm`."""

    stepper: Stepper
    wishes: Wishes
    comm: Communicator
    layout: StateLayout
    journal_layout: JournalLayout = field(init=False)
    _sharing: Communicator | None = None
    """The ranks that share a file, where that is not all of them."""

    def __post_init__(self) -> None:
        stepper = self.stepper
        self.journal_layout = JournalLayout.of(
            stepper.state,
            stepper.adjoint,
            stepper.accumulators,
            getattr(stepper, "per_step", ()),
        )

    @property
    def place(self) -> str | os.PathLike[str]:
        """The path that the caller gave."""
        assert self.wishes.file is not None
        return self.wishes.file

    def is_folder(self) -> bool:
        """Return whether the file is a temporary one, in a folder."""
        return self.comm.gather(os.path.isdir(self.place))[0]

    def rows_found(self) -> int | None:
        """Return the rows of the file there is; None if there is none.

        Raises
        ------
        SnapshotFileError
            On every rank: it is not ours, or is another problem's.
        """
        rows = self._agreed(
            lambda: storage.rows_at(self._path(), self._sharers(), self._file_spec())
        )
        ranks = self.comm.gather(rows)
        return None if None in ranks else min(ranks)

    def journal_bytes(self) -> int:
        """Return what the journal takes on disk, all ranks together; 0 in a temporary file."""
        if self.is_folder():
            return 0
        layout = self.journal_layout
        return sum(self.comm.gather(JOURNAL_RECORDS * layout.record_bytes + layout.rows_bytes))

    def opened(
        self, rows: int, engine: "str | EngineFactory | None", *, resume: bool = False
    ) -> "FileStore":
        """Return a store of so many states; to resume, one that has what the file has.

        Raises
        ------
        SnapshotFileError
            On every rank: it cannot be made.
        """
        return self._agreed(
            lambda: storage.open_store(
                self._path(),
                self._sharers(),
                self._file_spec(),
                rows,
                engine=engine,
                resume=resume,
            )
        )

    def opened_for_probe(
        self, layout: StateLayout, rows: int, engine: "str | EngineFactory"
    ) -> "FileStore":
        """Return an empty store in a temporary file beside the one that was named.

        Raises
        ------
        SnapshotFileError
            On every rank: it cannot be made, or the engine cannot be used on it.
        """
        folder = self.place if self.is_folder() else os.path.dirname(os.path.abspath(self.place))
        return self._agreed(
            lambda: storage.open_store(
                folder, self._sharers(), FileSpec(layout, b"probe"), rows, engine=engine
            )
        )

    def journal(self, store: "FileStore | None") -> Journal | None:
        """Return the journal in a store's file, if it is one that is kept.

        Raises
        ------
        SnapshotFileError
            On every rank: it cannot be opened.
        """
        if store is None or store.file.placement.journal is None:
            return None
        placement = store.file.placement

        def opened() -> JournalFile:
            try:
                return JournalFile(placement)
            except OSError as failure:
                raise SnapshotFileError(
                    f"cannot open the journal of {placement.path}: {failure}"
                ) from failure

        file = self._agreed(opened)
        return Journal(file, self.stepper, self.comm, share=self.wishes.max_lost_share)

    def close(self) -> None:
        """Give back what was made to share a file on a node."""
        sharing, self._sharing = self._sharing, None
        if sharing is not None:
            sharing.free()

    # -- inside -------------------------------------------------------------------------------

    def _agreed(self, work: Any) -> Any:
        """Return what `work` returns; if it fails on any rank, raise on every rank."""
        result: Any = None
        error: SnapshotFileError | None = None
        try:
            result = work()
        except SnapshotFileError as failure:
            error = failure
        try:
            self.comm.agree(error)
        except SnapshotFileError:
            with suppress(AttributeError):
                result.close()
            raise
        return result

    def _sharers(self) -> Communicator:
        """Return the ranks that share one file."""
        if not self.wishes.file_per_node or self.comm.mpi is None:
            return self.comm
        if self._sharing is None:
            self._sharing = self.comm.on_this_node()
        return self._sharing

    def _path(self) -> str | os.PathLike[str]:
        """Return the path of this rank's file; one file a node has the node's first rank in it."""
        if not self.wishes.file_per_node or self.comm.mpi is None or os.path.isdir(self.place):
            return self.place
        first = self._sharers().gather(self.comm.rank)[0]
        stem, ending = os.path.splitext(self.place)
        return f"{stem}-from-rank-{first}{ending}"

    def _accepted_steps(self) -> int:
        """Return how many accepted steps are kept in the file: none where their number is known."""
        needed = self.wishes.num_steps is None and hasattr(self.stepper, "accepted_steps")
        return MOST_ACCEPTED if needed else 0

    def _file_spec(self) -> FileSpec:
        return FileSpec(
            self.layout, self._fingerprint(), self.journal_layout, self._accepted_steps()
        )

    def _fingerprint(self) -> bytes:
        own = getattr(self.stepper, "fingerprint", bytes)()
        own = own.encode() if isinstance(own, str) else bytes(own)
        return f"{self.wishes.num_steps} steps;".encode() + own
