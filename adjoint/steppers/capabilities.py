"""Which optional attributes a stepper has, and what each is taken to be where it is absent.

`adjoint.Stepper` documents the attributes. A new one is a name in `OPTIONAL` and an accessor with
its default here; nobody else asks a stepper what it has.
"""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.steppers.protocol import Adopting, Arrays, Restorable, Stepper, state_bytes
from adjoint.steppers.scratch import Scratch

__all__ = ["Capabilities"]

OPTIONAL = (
    "accept_steps",
    "accepted_steps",
    "distributed",
    "fingerprint",
    "finished",
    "first_non_finite",
    "leaf_sensitive",
    "leaf_steps",
    "needs_last_state",
    "per_step",
    "position",
    "problem_name",
    "reaches_stop",
    "release_tape",
    "reproducible",
    "restore_tape",
    "second_order",
    "tape_bytes",
    "tape_is_first_state",
    "tape_memory",
    "tape_pieces",
    "twin",
    "vectorised",
    "writes_ghosts",
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The optional attributes of one stepper. Made by `Capabilities.of`.

    Presence is resolved once; values are read from the stepper at each use, never stored.
    """

    stepper: Stepper
    present: frozenset[str]
    """Names of the optional attributes that the stepper has, but for those of `adopting` and
    `restorable`."""
    adopting: Adopting | None
    """The stepper, if it computes in memory that it is given; else None. One that writes ghost
    cells to the state it reads does not: that state may be in a slot, or on its way to the file."""
    restorable: Restorable | None
    """The stepper, if it must be notified of a state that was written from outside; else None."""

    @classmethod
    def of(cls, stepper: Stepper) -> "Capabilities":
        """Return the capabilities of a stepper, without reading any of its properties."""
        kind = type(stepper)
        return cls(
            stepper,
            frozenset(name for name in OPTIONAL if hasattr(kind, name) or hasattr(stepper, name)),
            stepper
            if isinstance(stepper, Adopting) and not getattr(stepper, "writes_ghosts", False)
            else None,
            stepper if isinstance(stepper, Restorable) else None,
        )

    @property
    def leaf_steps(self) -> int | None:
        """Steps of the leaves that the stepper insists on; None if any leaf will do."""
        return self._read("leaf_steps", None)

    @property
    def leaf_sensitive(self) -> bool:
        """Whether the driver chooses `leaf_steps`, on which rounding depends. Default False."""
        return self._read("leaf_sensitive", False)

    def set_leaf_steps(self, leaf_steps: int) -> None:
        """Make a stepper that is `leaf_sensitive` take leaves of this size."""
        stepper: Any = self.stepper
        if stepper.leaf_steps != leaf_steps:
            stepper.leaf_steps = leaf_steps

    @property
    def tape_is_first_state(self) -> bool:
        """Whether `pull_back` takes a leaf's steps again from its first state. Default False."""
        return self._read("tape_is_first_state", False)

    @property
    def needs_last_state(self) -> bool | None:
        """Whether `record` takes the last step of a leaf in any case; None if that is not known."""
        return self._read("needs_last_state", True if self.reaches_stop else None)

    @property
    def reproducible(self) -> bool:
        """Whether steps taken again, grouped in any way, give the same bits. Default True."""
        return self._read("reproducible", True)

    @property
    def reaches_stop(self) -> bool:
        """Whether `record` ends in the state at `stop` in any case. Default False."""
        return self._read("reaches_stop", False)

    @property
    def writes_ghosts(self) -> bool:
        """Whether a step writes to ghost cells of the state that it starts from. Default False."""
        return self._read("writes_ghosts", False)

    @property
    def distributed(self) -> frozenset[str]:
        """Names of the controls that every rank holds its own part of. Default none."""
        return frozenset(self._read("distributed", ()))

    @property
    def per_step(self) -> frozenset[str]:
        """Names of the controls whose first axis is the step. Default none."""
        return frozenset(self._read("per_step", ()))

    @property
    def finds_end(self) -> bool:
        """Whether the stepper determines where the run ends: it has `position` and `finished`."""
        return {"position", "finished"} <= self.present

    @property
    def position(self) -> int | None:
        """The step that the live state is at; None if the stepper has no `position`."""
        position = self._read("position", None)
        return None if position is None else int(position)

    @property
    def finished(self) -> bool:
        """Whether the live state is at the end of the run. Default False."""
        return bool(self._read("finished", False))

    @property
    def accepted_steps(self) -> NDArray[np.float64] | None:
        """Time and length of each accepted step, shaped (steps, 2); None for fixed steps."""
        return self._read("accepted_steps", None)

    def accept_steps(self, rows: NDArray[np.float64]) -> None:
        """Give back the accepted steps of an earlier run; ignored by a stepper without them."""
        if "accept_steps" in self.present:
            self._read("accept_steps", None)(rows)

    @property
    def first_non_finite(self) -> int | None:
        """The first step whose cost is not finite; None if there is none or it is not known."""
        return self._read("first_non_finite", None)

    def tape_bytes(self, steps: int, *, kept: bool = False) -> int:
        """Bytes of the tape of one `record` of `steps` steps. Default: one state a step.

        With `kept`, of one that is kept while other steps are taken, if the stepper's `tape_bytes`
        has that argument.
        """
        if "tape_bytes" not in self.present:
            return steps * state_bytes(self.stepper.state)
        tape_bytes = self._read("tape_bytes", None)
        with_kept = kept and "kept" in inspect.signature(tape_bytes).parameters
        return operator.index(tape_bytes(steps, kept=True) if with_kept else tape_bytes(steps))

    @property
    def problem_name(self) -> str:
        """What a snapshot file says of the problem. Default: the name of the stepper's class."""
        return self._read("problem_name", type(self.stepper).__qualname__)

    @property
    def second_order(self) -> Callable[..., Any] | None:
        """What makes a stepper for second-order products of this one; None if nothing does."""
        return self._read("second_order", None)

    @property
    def twin(self) -> Callable[..., Any] | None:
        """What makes a stepper that computes with complex numbers of this one; None if nothing."""
        return self._read("twin", None)

    @property
    def vectorised(self) -> bool:
        """Whether second derivatives are taken for all directions in one call. Default False."""
        return bool(self._read("vectorised", False))

    @property
    def tape_memory(self) -> Scratch[Any] | None:
        """Where the stepper takes the memory of tapes from; None if it allocates that itself."""
        return self._read("tape_memory", None)

    @property
    def shows_tapes(self) -> bool:
        """Whether the stepper hands its tapes over, so that they may go to the file."""
        needed = {"release_tape", "restore_tape", "tape_memory", "tape_pieces"}
        return needed <= self.present and not self.finds_end

    def tape_pieces(self, steps: int) -> int:
        """Return the pieces of the tape of so many steps; 0 if the stepper does not show it."""
        return operator.index(self._read("tape_pieces", None)(steps)) if self.shows_tapes else 0

    def release_tape(self, start: int, stop: int) -> Sequence[Arrays]:
        """Return the pieces of a tape, which is not the stepper's any more."""
        return self._read("release_tape", None)(start, stop)

    def restore_tape(self, start: int, stop: int, pieces: Sequence[Arrays]) -> None:
        """Make pieces the tape of ``[start, stop)``."""
        self._read("restore_tape", None)(start, stop, pieces)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the problem depends on beside the controls, by name. Default nothing."""
        own: Any = self._read("fingerprint", dict)()
        return own if isinstance(own, Mapping) else {"fingerprint()": own}

    def _read(self, name: str, default: Any) -> Any:
        return getattr(self.stepper, name) if name in self.present else default
