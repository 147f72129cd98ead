"""Cases with bounds of their own: what a gradient takes beside what one would otherwise use.

The reference is the bare computation (every step advanced once, and recorded and pulled back once,
nothing kept), autograd's plain backward pass, PETSc's own trajectory in memory, or a shorter run.
It is played twice in each round.
"""

import importlib
import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import adjoint
from plan_campaign.child import Task
from plan_campaign.later import Opened, warm
from plan_campaign.models import MODELS
from plan_campaign.rounds import MIN_ROUNDS, Times, play
from plan_campaign.statistics import Interval, interval
from plan_campaign.ways import everything_bytes

REFERENCE = "reference"
CELLS, IMPLICIT_STEPS = 64, 100

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Case:
    """Gradients over a reference."""

    name: str
    bounds: Mapping[str, float]
    """By way, what its time over the reference's may be at most."""
    clocks: Callable[[ExitStack, Path], dict[str, Clock]]
    """Returns what evaluates each way once, and the reference, and returns the seconds."""
    needs: str = "numpy"


def ratio_to_reference(times: Mapping[str, list[float]], way: str) -> Interval:
    """Return a way's time over the reference's, by round."""
    return interval([a / b for a, b in zip(times[way], times[REFERENCE], strict=True)])


def needs_rounds(case: Case, found: Mapping[str, Any]) -> bool:
    """Return whether more rounds should be played of a case."""
    times = Times(**found["times"])
    return not times.are_all and (times.count < MIN_ROUNDS or not _is_decided(case, times))


def _is_decided(case: Case, times: Times) -> bool:
    return all(ratio_to_reference(times.by_way, way).is_narrow for way in case.bounds)


def play_case(case: Case, folder: Path, task: Task) -> dict[str, Any]:
    """Play a case; return its times."""
    before = task.before and Times(**task.before["times"])
    with ExitStack() as opened:
        clocks = case.clocks(opened, folder)
        decided = partial(_is_decided, case)
        return {"times": asdict(play(clocks, REFERENCE, decided, before, seconds=task.seconds))}


def bare_seconds(stepper: Any, num_steps: int) -> float:
    """Return the seconds of advancing, and of recording and pulling back, every step once."""
    stepper.start()
    began = time.perf_counter()
    stepper.advance(0, num_steps)
    seconds = time.perf_counter() - began
    for array in stepper.adjoint.values():
        array[...] = 0
    stepper.start()
    began = time.perf_counter()
    for _ in range(num_steps):
        stepper.record(0, 1, reach_stop=False)
        stepper.pull_back(0, 1)
    return seconds + time.perf_counter() - began


def _opened(opened: ExitStack, stepper: Any, num_steps: int, **options: Any) -> Clock:
    """Return what evaluates a gradient once, warm."""
    each = Opened(opened.enter_context(adjoint.Functional(stepper, num_steps, **options)), None)
    warm(each)
    return each.seconds


def _over_bare(
    kind: str, state_bytes: int, num_steps: int, shares: list[float | None]
) -> Callable[[ExitStack, Path], dict[str, Clock]]:
    def clocks(opened: ExitStack, folder: Path) -> dict[str, Clock]:
        make = partial(MODELS[kind].make, state_bytes, num_steps, None, None)
        found = {REFERENCE: partial(bare_seconds, make(), num_steps)}
        for share in shares:
            stepper = make()
            memory = share and int(share * everything_bytes(stepper, num_steps))
            found[f"memory {share}"] = _opened(opened, stepper, num_steps, memory=memory)
        return found

    return clocks


def _shallow_water(opened: ExitStack, folder: Path) -> dict[str, Clock]:
    make = partial(MODELS["shallow water"].make, 2_000_000, 2000, None, None)
    stepper = make()
    memory = 32 * sum(array.nbytes for array in stepper.state.values())
    return {
        REFERENCE: partial(bare_seconds, stepper, 2000),
        "memory": _opened(opened, make(), 2000, memory=memory),
        "file": _opened(opened, make(), 2000, memory=memory, file=str(folder)),
    }


def _lstm(opened: ExitStack, folder: Path) -> dict[str, Clock]:
    module, size, n = importlib.import_module("plan_campaign.torch_lstm"), 32_768, 1000
    found = {REFERENCE: module.Task(size, n).plain_backward}
    for share in (None, 0.5, 0.1):
        stepper = module.lstm(size, n, None)
        memory = share and int(share * everything_bytes(stepper, n))
        found[f"memory {share}"] = _opened(opened, stepper, n, memory=memory)
    return found


def _own_implicit(opened: ExitStack, folder: Path) -> dict[str, Clock]:
    peer = importlib.import_module("implicit_against_petsc")
    petsc = importlib.import_module("solvers.petsc")
    problem = petsc.problems.GrayScott((CELLS, CELLS))
    options = {"ts_type": "cn"}

    def reference() -> float:
        return sum(peer.peer_seconds(problem, 0.5, IMPLICIT_STEPS, options, back=True))

    stepper = petsc.CrankNicolson(petsc.problems.GrayScott((CELLS, CELLS)), 0.5)
    return {REFERENCE: reference, "memory None": _opened(opened, stepper, IMPLICIT_STEPS)}


def _through_bridge(method: str, opened: ExitStack, folder: Path) -> dict[str, Clock]:
    peer = importlib.import_module("petsc_ts_speed")

    def reference() -> float:
        return sum(peer.petsc(method, CELLS, IMPLICIT_STEPS, "memory")[:2])

    stepper = peer.Reaction(method, CELLS, IMPLICIT_STEPS).stepper()
    return {REFERENCE: reference, "memory None": _opened(opened, stepper, IMPLICIT_STEPS)}


def _long_run(opened: ExitStack, folder: Path) -> dict[str, Clock]:
    """A million steps of a microsecond, and a thousand a hundred times; seconds a step of each."""
    found: dict[str, Clock] = {}
    for name, n, times in ((REFERENCE, 1000, 100), ("a million steps", 1_000_000, 1)):
        stepper = MODELS["decay"].make(8000, n, None, None)
        clock = _opened(opened, stepper, n, memory=101 * 8000)
        found[name] = partial(_seconds_a_step, clock, n, times)
    return found


def _seconds_a_step(clock: Clock, num_steps: int, times: int) -> float:
    return math.fsum(clock() for _ in range(times)) / (times * num_steps)


_ALL = [
    Case(
        "half-tape wave, 2 MB, 1,000 steps, over bare",
        {"memory 0.3": 1.42, "memory 0.6": 1.33, "memory 1.1": 1.13},
        _over_bare("half-tape wave", 2_000_000, 1000, [0.3, 0.6, 1.1]),
    ),
    Case(
        "LSTMCell 256x16, 1,000 steps, over plain backward",
        {"memory None": 1.06, "memory 0.5": 1.27, "memory 0.1": 1.39},
        _lstm,
        needs="torch",
    ),
    Case(
        "own Crank-Nicolson, over PETSc's memory trajectory",
        {"memory None": 0.9},
        _own_implicit,
        needs="petsc4py",
    ),
    *(
        Case(
            f"{method} through the TS bridge, over PETSc's memory trajectory",
            {"memory None": 1.1},
            partial(_through_bridge, method),
            needs="petsc4py",
        )
        for method in ("cn", "beuler")
    ),
    Case(
        "scalar ODE, 10,000 steps, over bare",
        {"memory None": 1.0},
        _over_bare("scalar ODE", 8, 10_000, [None]),
    ),
    Case(
        "a step of 1 us and 8 kB, 101 states, over that of 1,000 steps",
        {"a million steps": 1.1},
        _long_run,
    ),
    Case(
        "shallow water, 2 MB, 2,000 steps, 32 states, over bare",
        {"file": 1.25, "memory": 1.45},
        _shallow_water,
        needs="numba",
    ),
]
CASES = {case.name: case for case in _ALL}
