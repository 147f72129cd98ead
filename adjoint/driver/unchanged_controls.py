"""Whether a stepper has left the controls as they were, as the derivative supposes."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import numpy as np

from adjoint.errors import ReplayError, StepperError
from adjoint.parallel import Communicator
from adjoint.steppers import Stepper
from adjoint.storage.checksums import checksum

__all__ = ["unchanged_controls"]


@contextmanager
def unchanged_controls(stepper: Stepper, comm: Communicator) -> Generator[None]:
    """Raise `StepperError` on all ranks if a control changes within the context. Collective.

    Compares checksums; controls that are not in memory (memory maps, HDF5 datasets) are left out.
    """
    before = _checksums(stepper)
    try:
        yield
    except ReplayError:  # other controls are the likeliest reason
        _require_same(before, stepper, comm)
        raise
    _require_same(before, stepper, comm)


def _require_same(before: Mapping[str, int], stepper: Stepper, comm: Communicator) -> None:
    after = _checksums(stepper)
    changed = [name for name in before if after.get(name) != before[name]]
    rank = f" on rank {comm.rank}" if comm.size > 1 else ""
    comm.agree(
        StepperError(
            f"the stepper changed its controls {changed} during an evaluation{rank}: cost and "
            "gradient belong to no one value of them. Keep in the state what steps change"
        )
        if changed
        else None
    )


def _checksums(stepper: Stepper) -> dict[str, int]:
    return {
        name: checksum(np.ascontiguousarray(control).reshape(-1).view(np.uint8))
        for name, control in stepper.controls.items()
        if type(control) is np.ndarray
    }
