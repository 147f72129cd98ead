"""How fast new memory is touched for the first time."""

import time

import numpy as np

from adjoint.measurement import constants
from adjoint.measurement.remembered import remember, remembered
from adjoint.parallel import Communicator, largest
from adjoint.storage.blocks import Block
from adjoint.storage.state_layout import PAGE_BYTES, StateLayout

__all__ = ["touch_speed"]


def touch_speed(comm: Communicator) -> float:
    """Return the bytes of new memory that can be touched in a second, on the slowest rank.

    Collective. Remembered within the process.
    """
    speed: float | None = remembered("touch", comm)
    if speed is None:
        speed = 1 / largest(_touch_seconds(), comm)
        remember("touch", speed)
    return speed


def _touch_seconds() -> float:
    """Return the seconds that a byte of new memory takes."""
    numbers = np.empty(constants.TOUCHED_BYTES // 8)
    block = Block(StateLayout.of({"": numbers}))
    began = time.perf_counter()
    block.bytes[::PAGE_BYTES] = 0
    return max(time.perf_counter() - began, 1e-9) / block.bytes.size
