"""Whether the machine was busy with something else while a round was played."""

import os
import time
from pathlib import Path

MAX_DIFFERENCE = 0.06
"""Between two evaluations of the same plan in a round."""
MAX_STEAL = 0.01
"""Share of a round's time that the hypervisor may take from each core."""
MAX_QUEUED = 0.05
"""Share of a round's time that this thread may be ready to run without a core. A little of it
disturbs ratios within the round little; their interval shows how much."""


class Noise:
    """Counts what others take, from when it is made."""

    def __init__(self) -> None:
        self._began, self._steal, self._queued = time.perf_counter(), _steal(), _queued()

    @property
    def is_heavy(self) -> bool:
        """Whether others took too much of the machine since then."""
        seconds = time.perf_counter() - self._began
        steal = (_steal() - self._steal) / (os.cpu_count() or 1)
        queued = _queued() - self._queued
        return steal > MAX_STEAL * seconds or queued > MAX_QUEUED * seconds


def differ(first: float, second: float) -> bool:
    """Return whether two evaluations of the same plan differ too much for the round to count."""
    return abs(first - second) > MAX_DIFFERENCE * min(first, second)


def _steal() -> float:
    """Return the seconds that the hypervisor took from all cores since the machine began."""
    return int(_words("/proc/stat")[8]) / os.sysconf("SC_CLK_TCK")


def _queued() -> float:
    """Return the seconds that this thread waited for a core since it began.

    Unlike the number of involuntary switches, it says what they cost.
    """
    return 1e-9 * int(_words("/proc/thread-self/schedstat")[1])


def _words(path: str) -> list[str]:
    """Return the words of a file's first line; zeros if the system has none."""
    try:
        return Path(path).read_text().split("\n", 1)[0].split()
    except OSError:
        return ["0"] * 10
