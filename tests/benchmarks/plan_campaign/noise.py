"""Whether the machine was busy with something else while a round was played."""

import os
import resource
import time
from pathlib import Path

MAX_DIFFERENCE = 0.06
"""Between two evaluations of the same plan in a round."""
MAX_STEAL = 0.01
"""Share of a round's time that the hypervisor may take from each core."""
MAX_SWITCHES = 30.0
"""A second, by which the kernel may take the core from this process. A quiet machine has few."""


class Noise:
    """Counts what others take, from when it is made."""

    def __init__(self) -> None:
        self._began, self._steal, self._switches = time.perf_counter(), _steal(), _switches()

    @property
    def is_heavy(self) -> bool:
        """Whether others took too much of the machine since then."""
        seconds = time.perf_counter() - self._began
        steal = (_steal() - self._steal) / (os.cpu_count() or 1)
        switches = _switches() - self._switches
        return steal > MAX_STEAL * seconds or switches > MAX_SWITCHES * seconds


def differ(first: float, second: float) -> bool:
    """Return whether two evaluations of the same plan differ too much for the round to count."""
    return abs(first - second) > MAX_DIFFERENCE * min(first, second)


def _steal() -> float:
    """Return the seconds that the hypervisor took from all cores since the machine began."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    return int(first[8]) / os.sysconf("SC_CLK_TCK")


def _switches() -> int:
    kind = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    return resource.getrusage(kind).ru_nivcsw
