"""How long a schedule takes to make one action, and replay to play it.

Run it as a script. It prints microseconds per action, and how many steps are advanced per step.
"""

import time
from collections import deque

from adjoint.replay import price
from adjoint.schedules import Asynchronous, Revolve, StoreAll

REPEATS = 3

SCHEDULES = [
    StoreAll(1_000_000),
    Revolve(1_000_000, 16),
    Revolve(1_000_000, 50),
    Revolve(1_000_000, 200),
    Revolve(1_000_000, 16, leaf_steps=8),
    Asynchronous(1_000_000, 16, 50),
    Asynchronous(1_000_000, 4, 1),
]


def main() -> None:
    """Print one line a schedule."""
    print(f"{'making':>8} {'playing':>8} {'actions/step':>13} {'advances/step':>14}")
    for schedule in SCHEDULES:
        making = min(_seconds(schedule) for _ in range(REPEATS))
        began = time.perf_counter()
        found = price(schedule)
        playing = time.perf_counter() - began - making
        microseconds = [1e6 * seconds / found.actions for seconds in (making, playing)]
        per_step = [count / found.num_steps for count in (found.actions, found.advances)]
        print(
            f"{microseconds[0]:8.3f} {microseconds[1]:8.3f} {per_step[0]:13.3f} {per_step[1]:14.3f}"
            f"  {schedule}"
        )


def _seconds(schedule: StoreAll | Revolve | Asynchronous) -> float:
    began = time.perf_counter()
    deque(schedule, maxlen=0)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
