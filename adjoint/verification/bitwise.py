"""The gradient under the functional's schedule has the same bits as with everything kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.functional import Functional
from adjoint.schedules import StoreAll
from adjoint.verification.runs import require_functional

__all__ = ["BitwiseResult", "bitwise_test"]


@dataclass(frozen=True, slots=True)
class BitwiseResult:
    """Whether the gradient has the bits of keeping everything, on all ranks. Print it."""

    differing: tuple[str, ...]
    """"cost", or the names of controls whose gradient has other bits."""

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differing

    def __str__(self) -> str:
        if self.passed:
            return "the schedule's gradient: the same bits as with every leaf's start kept"
        return (
            f"the schedule's gradient: other bits than with every leaf's start kept in "
            f"{', '.join(self.differing)}. See replay_test"
        )


def bitwise_test(functional: Functional) -> BitwiseResult:
    """Compare a functional's cost and gradient with those of `StoreAll` with the same leaves.

    Collective. `StoreAll` keeps a state per leaf in memory: use a run short enough for that.
    """
    require_functional(functional, "bitwise_test")
    cost, gradient = functional.value_and_gradient()
    assert functional.report is not None
    assert functional.schedule is not None
    num_steps, leaf_steps = functional.report.num_steps, functional.schedule.leaf_steps
    kept = StoreAll(num_steps, leaf_steps=leaf_steps)
    comm = functional.comm
    with Functional(functional.stepper, num_steps, comm=comm.mpi, schedule=kept) as reference:
        expected_cost, expected = reference.value_and_gradient()
    differing = [] if cost == expected_cost else ["cost"]
    differing += [k for k in expected if not _same_bits(gradient[k], expected[k])]
    ranks: list[list[str]] = comm.gather(differing)
    return BitwiseResult(tuple(dict.fromkeys(name for names in ranks for name in names)))


def _same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()
