"""Steps taken again give the same bits, however they are grouped: checkpointing relies on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.driver.costs import warn_of_forgotten_comm
from adjoint.parallel import communicator
from adjoint.steppers import Capabilities, Stepper, copy_arrays
from adjoint.steppers.checks import check_stepper
from adjoint.storage.checksums import checksum
from adjoint.verification.runs import require_steps

__all__ = ["ReplayResult", "replay_test"]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Whether steps gave the same bits when they were taken again. Print it."""

    first_difference: int | None
    """The first state, on any rank, that had other bits; None if there is none."""

    @property
    def passed(self) -> bool:
        """Whether no step differed."""
        return self.first_difference is None

    def __str__(self) -> str:
        if self.passed:
            return "steps taken again: the same bits"
        return (
            f"steps taken again: other bits in state {self.first_difference}. Look for random "
            "numbers, counters, the time, and arrays kept beside the state or left unwritten in it"
        )


def replay_test(
    stepper: Stepper, num_steps: int, *, comm: Any = None, seed: int = 0
) -> ReplayResult:
    """Take the steps twice, grouped differently the second time, half of them from a copy.

    Collective on `comm`. Keeps one checksum per leaf, and one state.
    """
    ranks = communicator(comm)
    if ranks.mpi is None:
        warn_of_forgotten_comm()
    try:
        with ranks.failing():
            check_stepper(stepper)
            has, num_steps = Capabilities.of(stepper), require_steps(num_steps, stepper)
            leaf = has.leaf_steps or 1
            ends = [*range(leaf, num_steps, leaf), num_steps]
            stepper.start()
            first = _hashes(stepper, 0, ends)
            generator = np.random.default_rng(seed)
            kept = [end for end in ends[:-1] if generator.random() < 0.5]
            middle = kept[len(kept) // 2] if kept else 0
            stepper.start()
            second = _hashes(stepper, 0, [end for end in kept if end <= middle])
            copy = {name: array.copy() for name, array in stepper.state.items()}
            stepper.advance(middle, num_steps)
            copy_arrays(copy, stepper.state)
            if has.restorable is not None:
                has.restorable.restored(middle)
            second |= _hashes(stepper, middle, [*(end for end in kept if end > middle), num_steps])
            differing = [step for step, bits in second.items() if bits != first[step]]
            found = [step for steps in ranks.gather(differing) for step in steps]
        return ReplayResult(min(found, default=None))
    finally:
        ranks.free()


def _hashes(stepper: Stepper, start: int, ends: Sequence[int]) -> dict[int, list[int]]:
    """Advance from `start` to each of `ends` in turn; return the checksums of the states there."""
    found: dict[int, list[int]] = {}
    for end in ends:
        stepper.advance(start, end)
        found[end] = [checksum(_raw(array)) for array in stepper.state.values()]
        start = end
    return found


def _raw(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(array.tobytes(), np.uint8)
