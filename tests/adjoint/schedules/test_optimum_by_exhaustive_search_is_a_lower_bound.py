"""The exhaustive search finds the least makespan; no schedule takes less."""

from functools import cache

import every_schedule
import pytest
from every_stream import least_makespan
from exhaustive_optimum import optimum

from adjoint.schedules import Revolve
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

# (steps, slots, states in the file): (u_f, u_b, w, r); the file helps in all but the second
ENUMERATED = {
    (3, 1, 1): (6, 2, 7, 4),
    (3, 2, 1): (1, 4, 8, 1),
    (4, 1, 1): (4, 3, 6, 5),
    (4, 1, 2): (4, 6, 6, 3),
}

COSTS = [(1, 2, 3, 3), (2, 3, 7, 5)]


@pytest.mark.parametrize("case", ENUMERATED)
def test_it_is_the_least_makespan_of_all_streams_of_actions(case):
    steps, slots, file_states = case
    costs = dict(zip(("u_f", "u_b", "w", "r"), ENUMERATED[case], strict=True))
    expected = least_makespan(steps, slots, **costs, file_states=file_states)
    assert optimum(steps, slots, **costs, file_states=file_states) == expected


def test_holding_a_tape_while_computing_does_not_help():
    costs = {"u_f": 6, "u_b": 2, "w": 7, "r": 4, "file_states": 1}
    assert optimum(3, 1, **costs) == least_makespan(3, 1, **costs, hold_tapes=True)


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
def test_without_a_file_it_is_the_makespan_of_revolve(slots):
    for steps in range(2, 10):
        costs = Costs(advance=1.5, pull_back=4)
        found = optimum(steps, slots, u_f=1.5, u_b=4, w=1, r=1, file_states=0)
        assert found == price(Revolve(steps, slots), costs).makespan


@pytest.mark.parametrize("slots", [1, 3])
def test_with_free_transfers_it_is_the_makespan_of_keeping_everything(slots):
    for steps in range(2, 10):
        assert optimum(steps, slots, u_f=1, u_b=2, w=0, r=0) == 3 * steps


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_more_room_and_faster_transfers_never_make_it_longer(slots):
    rooms = [optimum(8, slots, u_f=1, u_b=2, w=2, r=3, file_states=c) for c in range(8)]
    assert rooms == sorted(rooms, reverse=True)
    assert rooms[-1] == optimum(8, slots, u_f=1, u_b=2, w=2, r=3)
    assert rooms[-1] >= optimum(8, slots + 1, u_f=1, u_b=2, w=2, r=3)
    transfers = [optimum(8, slots, u_f=1, u_b=2, w=w, r=2 * w) for w in (0, 1, 2.5, 4, 8)]
    assert transfers == sorted(transfers)


@pytest.mark.parametrize(("u_f", "u_b", "w", "r"), COSTS)
@pytest.mark.parametrize("family", every_schedule.FAMILIES)
def test_no_schedule_takes_less(family, u_f, u_b, w, r):
    least = cache(lambda steps, slots: optimum(steps, slots, u_f=u_f, u_b=u_b, w=w, r=r))
    costs = Costs(advance=u_f, pull_back=u_b, write=w, read=r)
    cases, _draw = every_schedule.FAMILIES[family]
    for steps in (4, 7):
        for schedule in cases(steps, 1, 3):
            if schedule.num_tapes == 1:
                found = price(schedule, costs).makespan
                assert found >= least(steps, max(1, schedule.num_slots)), schedule
