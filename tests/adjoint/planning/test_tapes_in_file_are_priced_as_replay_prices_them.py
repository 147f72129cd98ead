"""The closed form for tapes in the file is what replay takes; plans reach the table of the theory.

In the steady state a step costs ``max(u, w) + max(p, r)`` if recording it takes `u`, pulling back
`p`, and its tape `w` and `r` to write and to read; with states alone ``2 u + p`` at least.
"""

import random
from dataclasses import replace

import pytest

from adjoint.planning import Budget, choose
from adjoint.planning.tapes import tapes_in_file_seconds
from adjoint.schedules import TapesInFile
from adjoint.schedules.costs import Costs
from adjoint.schedules.tapes_in_file.parameters import tapes_pay
from adjoint.simulation.replay import price


def replayed(schedule):
    return price(
        schedule,
        schedule.costs,
        num_slots=schedule.num_slots,
        file_states=schedule.file_states,
        tape_slots=schedule.tape_slots,
        tape_pieces=schedule.tape_pieces,
    ).makespan


def drawn(seed):
    draw = random.Random(seed)
    transfer = draw.uniform(0.01, 1.3)
    costs = Costs(
        advance=1,
        record=draw.choice([0, 0.3]),
        unreached=draw.choice([0, 1]),
        pull_back=draw.uniform(0.3, 4),
        write=draw.uniform(0, 4),
        read=draw.uniform(0, 4),
        piece_write=transfer,
        piece_read=transfer * draw.uniform(0.5, 1.5),
        post=draw.choice([0, 0.02]),
        driver_overhead=0.05,
        turn=1,
        slowdown=draw.choice([1, 1.3, 2]),
        read_slowdown=draw.choice([1, 1.3]),
    )
    leaf, tape = draw.choice([1, 1, 4, 7]), draw.randint(1, 5)
    slots = 1 + tape * draw.randint(1, 20)
    return TapesInFile(
        leaf * draw.randint(400, 2000) - draw.randrange(leaf),
        slots,
        tape,
        costs=costs,
        tape_pieces=draw.randint(1, leaf),
        leaf_steps=leaf,
    )


@pytest.mark.parametrize("seed", range(60))
def test_closed_form(seed):
    schedule = drawn(seed)
    if not tapes_pay(schedule.costs, schedule.leaf_steps, schedule.tape_pieces):
        assert tapes_in_file_seconds(schedule, schedule.costs) > 0
        return
    found = tapes_in_file_seconds(schedule, schedule.costs)
    assert found == pytest.approx(replayed(schedule), rel=0.03)


def test_no_step_is_taken_twice():
    schedule = drawn(3)
    found = price(schedule, schedule.costs, tape_slots=schedule.tape_slots)
    assert (found.advances, found.leaf_advances) == (0, schedule.num_steps)
    assert found.tapes_written == found.tapes_read == found.peak_file_tapes == schedule.file_tapes


# theta w: time a step, at 32 slots and at 4; states alone take 4
TABLE = {
    0.25: (3.00, 3.00),
    0.5: (3.00, 3.00),
    0.8: (3.00, 3.00),
    1.0: (3.00, 3.00),
    1.25: (3.25, 3.25),
    1.5: (3.50, 3.50),
}


@pytest.mark.parametrize("load", TABLE)
@pytest.mark.parametrize("slots", [32, 4])
def test_the_table_of_the_theory(load, slots):
    n = 4000
    costs = Costs(
        unreached=1, pull_back=2, write=load, read=load, piece_write=load, piece_read=load
    )
    budget = Budget({1: slots}, n, {1: 1}, tape_pieces={1: 1}, file_pieces=n)
    plan = choose(n, costs, budget)
    assert isinstance(plan.schedule, TapesInFile)
    expected = TABLE[load][slots == 4]
    assert replayed(plan.schedule) / n == pytest.approx(expected, rel=0.01)
    without = choose(n, costs, replace(budget, tape_pieces={}))
    assert without.predicted_seconds / n == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"tape_pieces": {}},
        {"file_pieces": 3000},
        {"slots": {1: 1}},
    ],
    ids=["shown by no stepper", "no room on disk", "no room in memory"],
)
def test_states_alone_where_tapes_cannot_go_to_the_file(change):
    costs = Costs(unreached=1, pull_back=2, write=0.5, read=0.5, piece_write=0.5, piece_read=0.5)
    budget = Budget({1: 8}, 4000, {1: 1}, tape_pieces={1: 1}, file_pieces=4000)
    assert isinstance(choose(4000, costs, budget).schedule, TapesInFile)
    plan = choose(4000, costs, replace(budget, **change))
    assert not isinstance(plan.schedule, TapesInFile)


def test_all_tapes_in_memory_need_no_file():
    costs = Costs(unreached=1, pull_back=2, write=0.5, read=0.5, piece_write=0.5, piece_read=0.5)
    budget = Budget({1: 99}, 100, {1: 1}, tape_pieces={1: 1}, file_pieces=100)
    assert choose(100, costs, budget).schedule.file_states == 0
