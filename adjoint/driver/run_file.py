"""The snapshot file of a run: what is there already, opening it, and the journal in it."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from adjoint import storage
from adjoint.driver import constants
from adjoint.driver.options import Options
from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator, agree_on
from adjoint.steppers import Capabilities
from adjoint.storage.agreement import on_all_ranks
from adjoint.storage.file_format import JOURNAL_RECORDS, FileSpec, JournalLayout
from adjoint.storage.journal_file import JournalFile
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.journal import Journal

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory
    from adjoint.storage.store import FileStore

__all__ = ["RunFile"]

T = TypeVar("T")


class RunFile:
    """The file that ``file=`` names. Nothing is created before `open`.

    Every method is collective on `comm`. Errors are raised on every rank.

    Parameters
    ----------
    capabilities, num_steps
        Of the run whose states are stored.
    options
        `file` is a path, or an existing folder for a temporary file.
    comm
        All ranks of the run; with `file_per_node`, those of a node share a file.
    layout
        Of this rank's state.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        num_steps: int | None,
        options: Options,
        comm: Communicator,
        layout: StateLayout,
    ) -> None:
        assert options.file is not None
        stepper = capabilities.stepper
        self._place = options.file
        self._capabilities = capabilities
        self._num_steps = num_steps
        self._options = options
        self._comm = comm
        self._layout = layout
        self._journal_layout = JournalLayout.of(
            stepper.state, stepper.adjoint, stepper.accumulators, capabilities.per_step
        )
        self._node: Communicator | None = None
        """The ranks that share a file, where these are not all."""
        self._store: FileStore | None = None
        """The one that was opened last."""

    def is_temporary(self) -> bool:
        """Return whether a temporary file is made, in a folder, and removed at the end."""
        return self._comm.gather(os.path.isdir(self._place))[0]

    @property
    def folder(self) -> str:
        """Return the folder that the file is in."""
        place = self._place
        return place if os.path.isdir(place) else os.path.dirname(os.path.abspath(place))

    @property
    def problem(self) -> str:
        """The problem in words, which the file must be of."""
        steps = "a run" if self._num_steps is None else f"{self._num_steps} steps"
        return f"{steps} of {self._capabilities.problem_name}"

    def rows_found(self) -> int | None:
        """Return the number of rows of the file there is; None if there is none.

        Raises
        ------
        SnapshotFileError
            There is something else, a file of another problem, or one that a live run uses.
        """
        # Loaded by all ranks or by none, before any of them makes a collective call of it.
        load = partial(getattr, storage, "open_store")
        on_all_ranks(load, self._comm, failing="cannot use a file", catch=Exception)
        overwrite = self._options.overwrite
        rows = self._on_all_ranks(
            lambda: storage.rows_at(
                self._path(), self._sharers(), self._spec(), overwrite=overwrite
            )
        )
        ranks = self._comm.gather(rows)
        return None if None in ranks else min(ranks)

    def layout_found(self) -> StateLayout | None:
        """Return the layout of rank 0's states in a file of this problem that there is.

        Its arrays may be others than those of this run. None if there is no such file.
        """

        def found() -> StateLayout | None:
            with suppress(SnapshotFileError), storage.open_snapshots(self._path()) as snapshots:
                if snapshots.structure.problem == self.problem:
                    return snapshots.structure.layouts[0]
            return None

        here = None if self.is_temporary() or self._comm.rank else found()
        return self._comm.gather(here)[0]

    def journal_bytes(self) -> int:
        """Return the size of the journal on disk, all ranks together; 0 in a temporary file."""
        if self.is_temporary():
            return 0
        layout = self._journal_layout
        own = JOURNAL_RECORDS * layout.record_bytes + layout.rows_bytes
        return sum(self._comm.gather(own))

    def open(
        self,
        rows: int,
        engine: "str | EngineFactory | None",
        *,
        piece: StateLayout | None = None,
        resume: bool = False,
    ) -> "FileStore":
        """Return an empty store with `rows` rows; with `resume`, with the rows that the file has.

        A row holds a state, or a piece of a tape if that has a layout; in a file to be resumed,
        what it was made for.

        Raises
        ------
        SnapshotFileError
            It cannot be created or opened, or the engine cannot be used on it.
        """
        self._store = self._on_all_ranks(
            lambda: storage.open_store(
                self._path(),
                self._sharers(),
                replace(self._spec(), piece=piece),
                rows,
                engine=engine,
                deadline=self._options.transfer_deadline,
                resume=resume,
                overwrite=self._options.overwrite,
            ),
            undo=lambda store: store.close(),
        )
        return self._store

    def open_for_probe(
        self, layout: StateLayout, rows: int, engine: "str | EngineFactory"
    ) -> "FileStore":
        """Return an empty store of states of `layout`, in a temporary file in the same folder.

        Raises
        ------
        SnapshotFileError
            It cannot be created, or the engine cannot be used on it.
        """
        return self._on_all_ranks(
            lambda: storage.open_store(
                self.folder,
                self._sharers(),
                FileSpec(layout, "probe"),
                rows,
                engine=engine,
                deadline=self._options.transfer_deadline,
            ),
            undo=lambda store: store.close(),
        )

    def open_journal(self, store: "FileStore") -> Journal | None:
        """Return the journal in the file of `store`; None in a temporary file.

        Raises
        ------
        SnapshotFileError
            It cannot be opened.
        """
        placement = store.file.placement
        if placement.journal is None:
            return None

        def opened() -> JournalFile:
            try:
                return JournalFile(placement)
            except OSError as failure:
                raise SnapshotFileError(
                    f"cannot open the journal of {placement.path}: {failure}"
                ) from failure

        file = self._on_all_ranks(opened, undo=lambda file: file.close())
        share = self._options.max_lost_share
        return Journal(file, self._capabilities.stepper, self._comm, share=share)

    def close(self) -> None:
        """Close the store opened last, and free the communicator of this node. Idempotent.

        What is done afterwards makes them anew.
        """
        if self._store is not None:
            self._store.close()
        if self._node is not None:
            self._node.free()
        self._store = self._node = None

    # -- inside -------------------------------------------------------------------------------

    def _spec(self) -> FileSpec:
        grows = self._num_steps is None and "accepted_steps" in self._capabilities.present
        accepted = constants.MAX_ACCEPTED_STEPS if grows else 0
        return FileSpec(self._layout, self.problem, self._journal_layout, accepted)

    def _sharers(self) -> Communicator:
        """Return the ranks that share one file."""
        if not self._options.file_per_node or self._comm.mpi is None:
            return self._comm
        if self._node is None:
            self._node = self._comm.on_this_node()
        return self._node

    def _path(self) -> str:
        """Return the path of this rank's file: that of a node names the node's first rank."""
        sharers = self._sharers()
        if sharers is self._comm or os.path.isdir(self._place):
            return self._place
        first = sharers.gather(self._comm.rank)[0]
        stem, ending = os.path.splitext(self._place)
        return f"{stem}-from-rank-{first}{ending}"

    def _on_all_ranks(self, work: Callable[[], T], *, undo: Callable[[T], None] | None = None) -> T:
        """Return what `work` returns, once it has succeeded on all ranks.

        With a file a node, `work` is collective on a node only: the others must learn of an error.
        """
        return agree_on(work, self._comm, catch=SnapshotFileError, undo=undo)
