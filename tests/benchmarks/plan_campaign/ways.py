"""The ways to compute a gradient in the same bytes: what is planned, and what one gives by hand.

A rival's slots are counted as the contract of memory says: bytes less the tape of the leaf in hand,
over blocks of 64 bytes; the live state takes none.
"""

import inspect
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adjoint
from adjoint import schedules
from adjoint.schedules import DiskRevolve, Mixed, Revolve, Schedule, Spilling, StoreAll
from adjoint.schedules.costs import Costs
from plan_campaign.configurations import Configuration

PLANNED = "planned"
BLOCK_BYTES = 64
TRIAL_STATES = 16
SENSITIVE_LEAF = 16
"""Steps of a leaf with a file where leaves of one are out of the question: the step is a small part
of a matrix product, or of a graph."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A schedule given by hand."""

    name: str
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Room:
    """What a stepper's states and tapes take of the memory of a configuration, on this rank."""

    memory_bytes: float
    """Infinite if the memory is the default: no configuration comes near it."""
    block_bytes: int
    stepper: Any

    @classmethod
    def of(cls, configuration: Configuration, stepper: Any) -> "Room":
        block = _block_bytes(stepper)
        if configuration.share is None:
            return cls(math.inf, block, stepper)
        everything = everything_bytes(stepper, configuration.num_steps)
        return cls(int(configuration.share * everything), block, stepper)

    def slots(self, num_steps: int, leaf: int) -> int:
        """Return the slots beside the tape of a leaf, no more than can be used; -1 for none."""
        most = num_steps * (1 + self.tape_slots(leaf))
        if math.isinf(self.memory_bytes):
            return most
        left = self.memory_bytes - tape_bytes(self.stepper, leaf, self.block_bytes)
        return min(most, int(left // self.block_bytes))

    def tape_slots(self, leaf: int) -> int:
        """Return the slots that a kept tape takes."""
        kept = tape_bytes(self.stepper, leaf, self.block_bytes, kept=True)
        return max(1, -(-kept // self.block_bytes))


def schedule_of(text: str) -> Schedule:
    """Return a schedule, given its `repr`."""
    names = {name: getattr(schedules, name) for name in schedules.__all__}
    return eval(text, names | {"Costs": Costs})


def everything_bytes(stepper: Any, num_steps: int) -> int:
    """Return the bytes of the tape of all steps."""
    return tape_bytes(stepper, num_steps, _block_bytes(stepper))


def tape_bytes(stepper: Any, steps: int, block_bytes: int, *, kept: bool = False) -> int:
    """Return the bytes of the tape of a leaf, which may consist of states in blocks of memory."""
    if isinstance(stepper, adjoint.FunctionStepper):
        return (steps if kept else steps - 1) * block_bytes
    if "kept" in inspect.signature(stepper.tape_bytes).parameters:
        return stepper.tape_bytes(steps, kept=kept)
    return stepper.tape_bytes(steps)


def in_memory(configuration: Configuration, room: Room) -> Iterator[Rival]:
    """Yield the rivals that fit in memory."""
    n, retakes = configuration.num_steps, configuration.model.retakes
    for leaf in (1, 4, 16, 64, n):
        leaves, slots = -(-n // leaf), room.slots(n, leaf)
        if leaf > n or slots < min(1, leaves - 1):
            continue
        if leaf == n:
            yield Rival("one leaf", StoreAll(n, leaf_steps=n))
            continue
        if leaf == 1 and slots >= leaves - 1:
            yield Rival("StoreAll 1", StoreAll(n))
        if leaf < 64:
            yield Rival(f"Revolve {leaf}", Revolve(n, slots, leaf_steps=leaf))
        tape = room.tape_slots(leaf)
        if leaf >= 16 and slots >= tape:
            unreached = (leaf - 1 + retakes) / leaf
            mixed = Mixed(n, slots, tape, leaf_steps=leaf, unreached=unreached)
            yield Rival(f"Mixed {leaf}", mixed)


def in_file(configuration: Configuration, room: Room, costs: Costs) -> Iterator[Rival]:
    """Yield the rivals that use a file, given what steps and transfers cost."""
    n = configuration.num_steps
    leaf = SENSITIVE_LEAF if configuration.model.leaf_sensitive else 1
    slots, steps = room.slots(n, leaf), costs.write / costs.advance
    if slots < 2 or n <= leaf:
        return
    for factor in (1, 2):
        interval = min(n, max(leaf, factor * steps))
        spilling = Spilling(n, slots, interval, costs=costs, leaf_steps=leaf)
        yield Rival(f"Spilling {factor} w/u", spilling)
    write = steps / leaf
    disk = DiskRevolve(n, slots, write=write, read=write, leaf_steps=leaf)
    yield Rival("DiskRevolve", disk)


def measure_costs(stepper: Any, state_bytes: int, folder: Path) -> Costs:
    """Return what a step and a transfer take: a few steps, and a few states written and synced."""
    stepper.start()
    stepper.advance(0, 1)
    advance = _best(lambda: stepper.advance(1, 2))
    stepper.start()
    for array in stepper.adjoint.values():
        array[...] = 0

    def reverse() -> None:
        stepper.start()
        stepper.record(0, 1, reach_stop=False)
        stepper.pull_back(0, 1)

    reverse()
    both, path = _best(reverse), folder / "trial"
    state = bytes(state_bytes)
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(TRIAL_STATES):
            file.write(state)
        os.fdatasync(file)
    write = (time.perf_counter() - began) / TRIAL_STATES
    path.unlink()
    return Costs(advance=advance, pull_back=both, write=write, read=write)


def options(
    configuration: Configuration, rival: Rival | None, room: Room, folder: Path, comm: Any
) -> dict[str, Any]:
    """Return the options by which a configuration is evaluated as planned, or as a rival does."""
    found: dict[str, Any] = {"comm": comm}
    if rival is not None:
        found["schedule"] = rival.schedule
    elif not math.isinf(room.memory_bytes):
        found["memory"] = room.memory_bytes
    if configuration.file and (rival is None or rival.schedule.file_states):
        found["file"] = str(folder)
    return found


def _block_bytes(stepper: Any) -> int:
    state = sum(array.nbytes for array in stepper.state.values())
    return -(-state // BLOCK_BYTES) * BLOCK_BYTES


def _best(work: Any, repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
