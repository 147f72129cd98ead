"""What the planner answers in the plain cases, where the answer is known beforehand."""

import pytest

from adjoint.errors import ArgumentError
from adjoint.planning.budget import Budget
from adjoint.planning.case import Case
from adjoint.planning.planner import choose
from adjoint.planning.spilling_search import best_spilling
from adjoint.schedules import Spilling
from adjoint.simulation.replay import Costs, price
from adjoint.units import parse_bytes

SLOTS = {1: 9, 2: 8, 4: 6, 8: 2}


def plan(**costs):
    return choose(10_000, Costs(advance=1.0, pull_back=2.0, **costs), Budget(SLOTS, 10_000))


def test_writes_that_cost_nothing_are_made():
    assert plan(write=0.5, read=0.5).schedule.file_states


def test_writes_that_cost_more_than_recomputing_are_not():
    assert plan(write=5e5, read=5e5).schedule.file_states == 0


def test_writes_that_bring_the_computation_to_a_halt_are_not():
    assert plan(write=4.0, read=4.0, slowdown=50.0, post=3e3).schedule.file_states == 0


def test_states_that_save_less_than_they_take_are_not_written():
    """A core shared with transfers: a state in the file takes two steps, and saves at most one."""
    slow = {"slowdown": 10.0, "read_slowdown": 10.0}
    dense = plan(write=1.2, read=1.2).schedule
    assert isinstance(dense, Spilling)
    assert dense.interval == pytest.approx(1.2, rel=0.1)
    costs = Costs(advance=1.0, pull_back=2.0, write=1.2, read=1.2, **slow)
    assert plan(write=1.2, read=1.2, **slow).predicted_seconds < 0.9 * price(dense, costs).makespan
    found = best_spilling(Case(10_000, 1, SLOTS[1], 10_000, 0, costs))
    assert found is not None
    assert found.schedule.interval >= SLOTS[1]
    assert found.seconds < 0.9 * price(dense, costs).makespan


def test_a_full_disk_is_never_overrun():
    costs = Costs(advance=1.0, pull_back=2.0, write=1.0, read=1.0)
    found = choose(10_000, costs, Budget(SLOTS, 100))
    assert 0 < found.schedule.file_states <= 100
    wide = choose(10_000, costs, Budget(SLOTS, 10_000))
    assert found.predicted_seconds > wide.predicted_seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512 MiB", 512 << 20),
        ("200 GB", 200 * 10**9),
        ("1.5g", 15 * 10**8),
        ("64KiB", 1 << 16),
        (7, 7),
        ("7 b", 7),
    ],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1..5 MB", "-3 MB", "3 parsecs", 0, -1, "0 B"])
def test_no_sizes(text):
    with pytest.raises(ArgumentError, match="size"):
        parse_bytes(text)
