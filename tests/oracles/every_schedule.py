"""All schedules, on small cases and at random, for the contracts that every schedule fulfils.

To add a family, add two functions and a line in `FAMILIES`.
"""

from dataclasses import replace

from ended import Ended
from hypothesis import strategies as st
from spilling_cases import draw_spilling, draw_spilling_on, spilling_cases, spilling_on_cases

from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    HRevolve,
    Mixed,
    Multistage,
    Online,
    Periodic,
    Revolve,
    StoreAll,
    TapesInFile,
)
from adjoint.schedules.costs import Costs


def store_all_cases(num_steps, leaf, max_slots):
    yield StoreAll(num_steps, leaf_steps=leaf)


def draw_store_all(draw, num_steps, leaf, max_slots):
    return StoreAll(num_steps, leaf_steps=leaf)


def revolve_cases(num_steps, leaf, max_slots):
    for slots in range((num_steps <= leaf and 0) or 1, max_slots + 1):
        yield Revolve(num_steps, slots, leaf_steps=leaf)


def draw_revolve(draw, num_steps, leaf, max_slots):
    return Revolve(num_steps, draw(st.integers(1, max_slots)), leaf_steps=leaf)


def asynchronous_cases(num_steps, leaf, max_slots):
    for slots in range(2, max_slots + 1):
        for interval in range(leaf, num_steps + leaf, leaf):
            yield Asynchronous(num_steps, slots, interval, leaf_steps=leaf)


def draw_asynchronous(draw, num_steps, leaf, max_slots):
    slots, staging = draw(st.integers(2, max_slots)), draw(st.integers(1, 6))
    interval = leaf * draw(st.integers(1, num_steps // leaf + 2))
    return Asynchronous(num_steps, slots, interval, leaf_steps=leaf, staging=staging)


def periodic_cases(num_steps, leaf, max_slots):
    for units in sorted({1, 2, 3, 5, 8, max_slots}):
        yield Periodic(num_steps, units * leaf, leaf_steps=leaf)


def draw_periodic(draw, num_steps, leaf, max_slots):
    units = draw(st.integers(1, num_steps // leaf + 2))
    return Periodic(num_steps, units * leaf, leaf_steps=leaf)


def multistage_cases(num_steps, leaf, max_slots):
    for slots in sorted({1, 2, max_slots // 2, max_slots}):
        for file_slots in (0, 1, 4):
            yield Multistage(num_steps, slots, file_slots, leaf_steps=leaf)


def draw_multistage(draw, num_steps, leaf, max_slots):
    slots, file_slots = draw(st.integers(1, max_slots)), draw(st.integers(0, max_slots))
    return Multistage(num_steps, slots, file_slots, leaf_steps=leaf)


def disk_revolve_cases(num_steps, leaf, max_slots):
    transfers = [(0, 0, None), (0.5, 1, 3), (2, 2, None), (3, 0.5, 1)]
    for place, slots in enumerate(sorted({1, 2, max_slots})):
        for write, read, file_states in transfers[place % 2 :: 2]:
            costs = {"write": write, "read": read, "max_file_states": file_states}
            yield DiskRevolve(num_steps, slots, leaf_steps=leaf, **costs)


def draw_disk_revolve(draw, num_steps, leaf, max_slots):
    costs = {name: draw(st.integers(0, 40)) / 4 for name in ("write", "read")}
    room = draw(st.none() | st.integers(0, 12))
    slots = draw(st.integers(1, max_slots))
    return DiskRevolve(num_steps, slots, leaf_steps=leaf, max_file_states=room, **costs)


def h_revolve_cases(num_steps, leaf, max_slots):
    for slots, room in ((1, 3), (2, 2), (max_slots, 1)):
        yield HRevolve(num_steps, slots, room, write=1, read=1, leaf_steps=leaf)


def draw_h_revolve(draw, num_steps, leaf, max_slots):
    slots = draw(st.integers(1, max_slots))
    room, write, read = (draw(st.integers(0, 8)) for _ in range(3))
    return HRevolve(num_steps, slots, room, write=write, read=read, leaf_steps=leaf)


def online(num_steps, slots, leaf):
    in_use = min(slots, -(-num_steps // leaf))
    return Ended(Online(slots, leaf_steps=leaf), num_steps, num_slots=in_use)


def online_cases(num_steps, leaf, max_slots):
    for slots in range(1, max_slots + 1):
        yield online(num_steps, slots, leaf)


def draw_online(draw, num_steps, leaf, max_slots):
    return online(num_steps, draw(st.integers(1, max_slots)), leaf)


def mixed_cases(num_steps, leaf, max_slots):
    kinds = [(1, 1), (2, 0.5), (3, 1), (2, 0), (1, 0.25), (4, 0.75)]
    for place, slots in enumerate(sorted({1, 2, 4, max_slots})):
        for tape_slots, unreached in kinds[place % 2 :: 2]:
            yield Mixed(num_steps, slots, tape_slots, leaf_steps=leaf, unreached=unreached)


def draw_mixed(draw, num_steps, leaf, max_slots):
    slots, tape_slots = draw(st.integers(1, max_slots)), draw(st.integers(1, 6))
    unreached = draw(st.integers(0, 8)) / 8
    return Mixed(num_steps, slots, tape_slots, leaf_steps=leaf, unreached=unreached)


def tapes_in_file(num_steps, leaf, slots, tape_slots, pieces, piece_seconds):
    # as slow as states are to write, or a hundredth of that: then tapes do not pay, or they do
    costs = Costs(
        unreached=1, pull_back=2, write=3, read=3, piece_write=piece_seconds, piece_read=1, post=0.1
    )
    return TapesInFile(
        num_steps, slots, tape_slots, costs=costs, tape_pieces=pieces, leaf_steps=leaf
    )


def tapes_in_file_cases(num_steps, leaf, max_slots):
    for slots, tape_slots, pieces, seconds in ((2, 1, 1, 0.02), (5, 2, 3, 0.02), (4, 1, 2, 9)):
        yield tapes_in_file(num_steps, leaf, slots, tape_slots, pieces, seconds)


def draw_tapes_in_file(draw, num_steps, leaf, max_slots):
    tape_slots = draw(st.integers(1, max(1, max_slots // 2)))
    slots = draw(st.integers(1 + tape_slots, 1 + max_slots))
    seconds = draw(st.integers(0, 20)) / 10
    return tapes_in_file(num_steps, leaf, slots, tape_slots, draw(st.integers(1, 5)), seconds)


def with_tapes_of_states(schedule):
    """Return a schedule that counts a kept tape as one state a step, or keeps none."""
    leaf = schedule.leaf_steps
    if isinstance(schedule, TapesInFile):
        slots = 1 + leaf * max(1, schedule.num_tapes - 1)
        return replace(schedule, num_slots=slots, tape_slots=leaf, tape_pieces=leaf)
    if schedule.num_tapes == 1 or schedule.tape_slots >= leaf:
        return schedule
    fits = isinstance(schedule, Mixed) or leaf <= schedule.num_slots
    return replace(schedule, tape_slots=leaf if fits else 0)


# family -> (cases(num_steps, leaf, max_slots), draw(draw, num_steps, leaf, max_slots))
FAMILIES = {
    "StoreAll": (store_all_cases, draw_store_all),
    "Revolve": (revolve_cases, draw_revolve),
    "Asynchronous": (asynchronous_cases, draw_asynchronous),
    "Periodic": (periodic_cases, draw_periodic),
    "Multistage": (multistage_cases, draw_multistage),
    "DiskRevolve": (disk_revolve_cases, draw_disk_revolve),
    "HRevolve": (h_revolve_cases, draw_h_revolve),
    "Online": (online_cases, draw_online),
    "Mixed": (mixed_cases, draw_mixed),
    "Spilling": (spilling_cases, draw_spilling),
    "TapesInFile": (tapes_in_file_cases, draw_tapes_in_file),
    "Spilling, open-ended": (spilling_on_cases, draw_spilling_on),
}


def small_cases(max_steps, max_slots):
    """Give the schedules of all families up to a size, with leaves of 1 to 3 steps."""
    for leaf in (1, 2, 3):
        for num_steps in range(1, max_steps + 1):
            for cases, _draw in FAMILIES.values():
                yield from cases(num_steps, leaf, max_slots)


@st.composite
def schedules(draw, max_steps=300, max_slots=30):
    """Draw one schedule of any kind."""
    num_steps, leaf = draw(st.integers(1, max_steps)), draw(st.integers(1, 12))
    _cases, draw_one = FAMILIES[draw(st.sampled_from(list(FAMILIES)))]
    return draw_one(draw, num_steps, leaf, max_slots)
