"""How long schedules take to make an action: adjoint's, checkpoint_schedules' and pyrevolve's.

Run it as a script; it takes about five minutes. It prints microseconds an action, for the first
million actions of a schedule or all of them, making the schedule included. Every measurement has an
interpreter of its own, which is stopped when it takes too long. They take turns, and the best of
three counts. Then, for ours, what a run of 10^9 steps takes, its memory, and what `replay` takes to
play an action.
"""

import json
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    HRevolve,
    Mixed,
    Multistage,
    Revolve,
    Spilling,
    StoreAll,
)
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

try:
    import checkpoint_schedules as cs
except ImportError:
    cs = None
try:
    import pyrevolve as pr
except ImportError:
    pr = None

ROUNDS = 3
LIMIT_SECONDS = 10
MOST_ACTIONS = 1_000_000
SIZES = (1_000, 10_000, 100_000, 1_000_000)
LARGE = 10**9
COSTS = Costs(advance=1, pull_back=2, write=50, read=50)

OURS: dict[str, Callable[[int], Iterable[object]]] = {
    "StoreAll": StoreAll,
    "Revolve": lambda n: Revolve(n, 16),
    "Multistage": lambda n: Multistage(n, 8, 8),
    "DiskRevolve": lambda n: DiskRevolve(n, 16, write=50, read=50),
    "HRevolve": lambda n: HRevolve(n, 16, 100, write=50, read=50),
    "Mixed": lambda n: Mixed(n, 16, 1),
    "Asynchronous": lambda n: Asynchronous(n, 16, 50),
    "Spilling": lambda n: Spilling(n, 16, 50, costs=COSTS),
}

THEIRS: dict[str, Callable[[int], Iterable[object]]] = {}
if cs is not None:
    THEIRS |= {
        "CS MultistageCheckpointSchedule": lambda n: cs.MultistageCheckpointSchedule(n, 16, 0),
        "CS Multistage, half on disk": lambda n: cs.MultistageCheckpointSchedule(n, 8, 8),
        "CS Revolve": lambda n: cs.Revolve(n, 16),
        "CS DiskRevolve": lambda n: cs.DiskRevolve(n, 16, wd=50, rd=50),
        "CS HRevolve": lambda n: cs.HRevolve(n, 16, 100, wd=50, rd=50),
        "CS MixedCheckpointSchedule": lambda n: cs.MixedCheckpointSchedule(n, 16),
    }
if pr is not None:
    THEIRS |= {
        "PR CRevolve": lambda n: _until_terminated(pr.schedulers.CRevolve(16, n)),
    }


def main() -> None:
    """Print the three tables."""
    for name, module, package in (
        ("CS, checkpoint_schedules", cs, "checkpoint-schedules"),
        ("PR, pyrevolve", pr, "pyrevolve (it takes a C++ compiler)"),
    ):
        if module is None:
            print(f"{name}: absent; to get it: pip install {package}")
    _side_by_side()
    _at_scale()
    _playing()


def _side_by_side() -> None:
    print("\nmicroseconds an action, at n steps")
    print(f"{'':34}" + "".join(f"{n:>12,}" for n in SIZES))
    names = [*OURS, *THEIRS]
    best: dict[tuple[str, int], float] = {}
    too_slow: set[str] = set()
    for n in SIZES:
        for name in [name for _round in range(ROUNDS) for name in names]:
            found = None if name in too_slow else _elsewhere(name, n)
            if found is None:
                too_slow.add(name)
            else:
                best[name, n] = min(found, best.get((name, n), found))
    for name in names:
        row = [f"{best[name, n]:.2f}" if (name, n) in best else "-" for n in SIZES]
        print(f"{name:34}" + "".join(f"{cell:>12}" for cell in row))
    print(f"-: that size, or one less, failed or took more than {LIMIT_SECONDS} s")


def _at_scale() -> None:
    print(f"\nat n = {LARGE:,}: microseconds an action, and peak memory of 100,000 actions")
    for name, schedule in OURS.items():
        found = _elsewhere(name, LARGE)
        tracemalloc.start()
        deque(islice(schedule(LARGE), 100_000), maxlen=0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        took = "-" if found is None else f"{found:.2f}"
        print(f"{name:34}{took:>12}{peak / 1e3:12,.0f} kB", flush=True)


def _playing() -> None:
    print("\nat n = 100,000: microseconds an action to play it; actions, advances a step")
    for name, schedule in OURS.items():
        making = _elsewhere(name, 100_000)
        if making is None:
            continue
        began = time.perf_counter()
        found = price(schedule(100_000), COSTS)
        playing = 1e6 * (time.perf_counter() - began) / found.actions - making
        actions, advances = found.actions / found.num_steps, found.advances / found.num_steps
        print(f"{name:34}{playing:12.2f}{actions:12.3f}{advances:12.3f}")


def _elsewhere(name: str, n: int) -> float | None:
    """Return microseconds an action in another interpreter; None if it fails or takes too long."""
    command = [sys.executable, __file__, name, str(n)]
    try:
        run = subprocess.run(command, capture_output=True, timeout=LIMIT_SECONDS, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    return json.loads(run.stdout.splitlines()[-1])


def _measured(name: str, n: int) -> float:
    make = (OURS | THEIRS)[name]
    deque(make(50), maxlen=0)  # what compiles itself when first called has done so
    began = time.perf_counter()
    count = sum(1 for _action in islice(make(n), MOST_ACTIONS))
    return 1e6 * (time.perf_counter() - began) / count


def _until_terminated(scheduler) -> Iterator[object]:
    while (action := scheduler.next()).type != pr.schedulers.Action.TERMINATE:
        yield action


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_measured(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
