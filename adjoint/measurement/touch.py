"""How fast new memory is touched for the first time, and how large the last level of cache is."""

import time

import numpy as np

from adjoint.measurement import constants
from adjoint.measurement.remembered import remember, remembered
from adjoint.parallel import Communicator, largest, smallest
from adjoint.storage.blocks import Block
from adjoint.storage.state_layout import PAGE_BYTES, StateLayout
from adjoint.units import parse_bytes

__all__ = ["cache_bytes", "touch_speed"]

CACHES = "/sys/devices/system/cpu/cpu0/cache/index{level}/size"

DEFAULT_CACHE_BYTES = 8 << 20


def touch_speed(comm: Communicator) -> float:
    """Return the bytes of new memory that can be touched in a second, on the slowest rank.

    Collective. Remembered within the process.
    """
    speed: float | None = remembered("touch", comm)
    if speed is None:
        speed = 1 / largest(_touch_seconds(), comm)
        remember("touch", speed)
    return speed


def cache_bytes(comm: Communicator) -> int:
    """Return the size of the last level of cache, on the rank with the smallest. Collective."""
    return smallest(_cache_bytes(), comm)


def _touch_seconds() -> float:
    """Return the seconds that a byte of new memory takes."""
    numbers = np.empty(constants.TOUCHED_BYTES // 8)
    block = Block(StateLayout.of({"": numbers}))
    began = time.perf_counter()
    block.bytes[::PAGE_BYTES] = 0
    return max(time.perf_counter() - began, 1e-9) / block.bytes.size


def _cache_bytes() -> int:
    for level in (4, 3, 2):
        try:
            with open(CACHES.format(level=level), encoding="ascii") as file:
                return parse_bytes(file.read().strip().replace("K", " KiB").replace("M", " MiB"))
        except (OSError, ValueError):
            continue
    return DEFAULT_CACHE_BYTES
