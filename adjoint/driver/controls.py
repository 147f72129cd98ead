"""The controls of one evaluation: whether all ranks have the same, and whether these stay.

A control that is not `distributed` is replicated. Its gradient is the sum over ranks, which would
be that of no problem if its values differed between them. So ranks compare names, shapes, dtypes
and values before every evaluation. Nor would it be that of any if the stepper changed controls
while it is computed. Each is hashed once before for all of this and for the journal, and once
afterwards.

The values of a per-step control that is not in memory are compared while the forward sweep reads
them: see `RowsOnDisk`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from adjoint.driver.run import Run
from adjoint.errors import ArgumentError, ReplayError, StepperError
from adjoint.parallel import Communicator
from adjoint.schedules.actions import Action, Advance, Record
from adjoint.storage.checksums import CHUNK_BYTES, RunningChecksum, hash_of
from adjoint.sweep.observers import Observer

__all__ = ["Controls", "RowsOnDisk"]

Description = list[tuple[str, str, str]]
"""Name, shape with dtype, and hash of each control; the last two are empty if ranks may differ."""


class Controls:
    """The controls of this rank, hashed when an evaluation begins. Collective, as is `unchanged`.

    Raises
    ------
    ArgumentError
        On every rank: the ranks have not the same controls.
    """

    def __init__(self, run: Run) -> None:
        self._stepper, self._comm = run.stepper, run.comm
        self._hashes: dict[str, str] = {}
        """Of the controls in memory, which are compared afterwards."""
        on_disk, distributed = _on_disk(run), run.capabilities.distributed
        has_file = run.file is not None
        own: Description = []
        shared: Description = []
        for name, control in run.stepper.controls.items():
            form = f"shape {control.shape} and dtype {control.dtype}"
            is_shared, is_compared = name not in distributed, name not in on_disk
            in_memory = type(control) is np.ndarray
            is_sent = is_shared and is_compared and run.comm.size > 1
            value = hash_of({name: control}) if in_memory or is_sent or has_file else ""
            if in_memory:
                self._hashes[name] = value
            own.append((name, form, value))
            shared.append((name, form * is_shared, value * is_sent))
        _require_same(shared, run.comm)
        self.hash = _hash(own)
        """A hash of all of them, for the journal: of those that are not in memory where there is a
        file."""

    @contextmanager
    def unchanged(self) -> Generator[None]:
        """Raise `StepperError` on all ranks if a control in memory changes within the context."""
        try:
            yield
        except ReplayError:  # other controls are the likeliest reason
            self._require_unchanged()
            raise
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        controls = self._stepper.controls
        changed = [
            name
            for name, value in self._hashes.items()
            if name not in controls or hash_of({name: controls[name]}) != value
        ]
        rank = f" on rank {self._comm.rank}" if self._comm.size > 1 else ""
        self._comm.agree(
            StepperError(
                f"the stepper changed its controls {changed} during an evaluation{rank}: cost and "
                "gradient belong to no one value of them. Keep in the state what steps change"
            )
            if changed
            else None
        )


class RowsOnDisk(Observer):
    """Compares the values of per-step controls that are not in memory between ranks.

    A row is hashed right after the forward sweep has read it for the first time, while the system
    still has it in memory; the hashes of all rows are compared when the sweeps have ended.
    """

    def __init__(self, controls: dict[str, Any]) -> None:
        self._controls = controls
        self._hashes = {name: RunningChecksum() for name in controls}
        self._next = 0

    @classmethod
    def of(cls, run: Run) -> Self | None:
        """Return the comparison for a run; None if it has nothing to compare."""
        controls = _on_disk(run)
        return cls(controls) if controls and run.comm.size > 1 else None

    def on_action(self, action: Action, began: float, ended: float) -> None:
        del began, ended
        if isinstance(action, Advance | Record):
            self.read_to(action.stop)

    def read_to(self, stop: int) -> None:
        """Hash the rows before `stop` that are new."""
        for name, control in self._controls.items():
            row_bytes = control.dtype.itemsize * int(np.prod(control.shape[1:], dtype=int))
            rows = max(1, CHUNK_BYTES // max(1, row_bytes))
            end = min(stop, control.shape[0])
            for start in range(self._next, end, rows):
                part = np.ascontiguousarray(control[start : min(start + rows, end)])
                self._hashes[name].update(part.reshape(-1).view(np.uint8))
        self._next = max(self._next, stop)

    def require_same(self, comm: Communicator) -> None:
        """Raise `ArgumentError` on every rank unless all have read the same values. Collective."""
        _require_same([(name, "", str(h.value)) for name, h in self._hashes.items()], comm)


def _on_disk(run: Run) -> dict[str, Any]:
    """Return the replicated per-step controls that are not in memory."""
    has = run.capabilities
    return {
        name: control
        for name, control in run.stepper.controls.items()
        if name in has.per_step - has.distributed and type(control) is not np.ndarray
    }


def _require_same(mine: Description, comm: Communicator) -> None:
    if len(set(comm.gather(_hash(mine)))) == 1:
        return
    ranks: list[Description] = comm.gather(mine)
    first = ranks[0]
    rank, other = next((r, theirs) for r, theirs in enumerate(ranks) if theirs != first)
    names, others = ([name for name, _, _ in each] for each in (first, other))
    if names != others:
        raise ArgumentError(f"the controls are {names} on rank 0, but {others} on rank {rank}")
    (name, form, _), (_, other_form, _) = next(
        pair for pair in zip(first, other, strict=True) if pair[0] != pair[1]
    )
    differs = (
        f"has {form} on rank 0, but {other_form}"
        if form != other_form
        else "has other values on rank 0 than"
    )
    raise ArgumentError(
        f"control {name!r} {differs} on rank {rank}: it must be the same on all ranks or, if each "
        "holds its own part, be named in the stepper's `distributed`"
    )


def _hash(description: Description) -> str:
    return f"{RunningChecksum(repr(description).encode()).value:016x}"
