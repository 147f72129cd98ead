"""checkpoint_schedules, an independent program, has the same advances, writes and reads."""

import pytest
from peer_counts import counted

from adjoint.schedules import DiskRevolve, HRevolve, Mixed, Multistage, Revolve
from adjoint.schedules.actions import Record
from adjoint.schedules.revolve import minimal_advances
from adjoint.simulation.replay import price

peer = pytest.importorskip("checkpoint_schedules")

RUNS = [(n, s) for n in (2, 3, 7, 10, 23, 56, 57, 100) for s in (1, 2, 3, 5, 8) if s < n]

# (steps, slots, states in the file, write = read) -> cost, with free turns and records included:
# Herrmann and Pallez 2020, doi:10.1145/3378672
PUBLISHED = {(50, 3, 5, 2): 180, (100, 5, 5, 2): 357, (100, 3, 10, 5): 425, (100, 2, 100, 2): 390}

# (steps, slots) -> steps forward, records included: Maddison 2024, doi:10.1137/23M1582953
MIXED = {(10, 2): 26, (10, 3): 19, (50, 7): 116, (100, 3): 554, (100, 5): 352, (100, 10): 237}


def cost(found, transfer):
    """Return the cost of one of our schedules, where a step or a record costs 1."""
    return found.advances + found.num_steps + transfer * (found.writes + found.reads)


@pytest.mark.parametrize("trajectory", ["maximum", "revolve"])
@pytest.mark.parametrize(("steps", "slots"), RUNS)
def test_revolve_by_the_closed_form(steps, slots, trajectory):
    theirs = counted(peer.MultistageCheckpointSchedule(steps, slots, 0, trajectory=trajectory))
    assert theirs == (steps + minimal_advances(steps, slots), minimal_advances(steps, slots), 0)
    assert price(Revolve(steps, slots)).advances == theirs.advances


@pytest.mark.parametrize(("steps", "slots"), RUNS)
def test_revolve_by_their_dynamic_programme(steps, slots):
    assert counted(peer.Revolve(steps, slots)).advances == minimal_advances(steps, slots)


@pytest.mark.parametrize(("steps", "slots"), RUNS)
def test_multistage(steps, slots):
    for in_file in range(1, slots):
        theirs = counted(peer.MultistageCheckpointSchedule(steps, slots - in_file, in_file))
        ours = price(Multistage(steps, slots - in_file, in_file))
        assert ours.advances == theirs.advances == minimal_advances(steps, slots)


@pytest.mark.parametrize("case", PUBLISHED)
def test_h_revolve_where_forward_and_reverse_cost_the_same(case):
    steps, slots, in_file, transfer = case
    theirs = counted(peer.HRevolve(steps, slots, in_file, uf=1, ub=1, wd=transfer, rd=transfer))
    assert theirs.forwards + transfer * theirs.transfers == PUBLISHED[case]
    ours = HRevolve(steps, slots, in_file, write=transfer, read=transfer)
    assert cost(price(ours), transfer) == PUBLISHED[case]


@pytest.mark.parametrize("transfer", [1, 2, 5, 20])
@pytest.mark.parametrize(("steps", "slots"), [(10, 2), (37, 1), (60, 3), (100, 4)])
def test_disk_revolve_is_their_h_revolve_with_a_large_file(steps, slots, transfer):
    theirs = counted(peer.HRevolve(steps, slots, steps, uf=1, ub=1, wd=transfer, rd=transfer))
    ours = price(DiskRevolve(steps, slots, write=transfer, read=transfer))
    assert cost(ours, transfer) == theirs.forwards + transfer * theirs.transfers


@pytest.mark.parametrize(("steps", "slots", "transfer"), [(37, 1, 2), (40, 2, 5), (100, 3, 5)])
def test_disk_revolve_where_theirs_is_optimal(steps, slots, transfer):
    theirs = counted(peer.DiskRevolve(steps, slots, uf=1, ub=1, wd=transfer, rd=transfer))
    ours = price(DiskRevolve(steps, slots, write=transfer, read=transfer))
    assert cost(ours, transfer) == theirs.forwards + transfer * theirs.transfers


@pytest.mark.filterwarnings("ignore:Numba not available:RuntimeWarning")
@pytest.mark.parametrize(("steps", "slots"), MIXED)
def test_mixed(steps, slots):
    assert counted(peer.MixedCheckpointSchedule(steps, slots)).forwards == MIXED[steps, slots]
    ours = list(Mixed(steps, slots, 1))
    records = sum(type(action) is Record for action in ours)
    assert price(ours).advances + records == MIXED[steps, slots]


@pytest.mark.parametrize(("period", "slots"), [(1, 1), (6, 2), (10, 3), (25, 4)])
def test_two_level_is_a_sweep_and_revolve_in_every_period(period, slots):
    steps = 3 * period
    schedule = peer.TwoLevelCheckpointSchedule(period, slots)
    found = advances_of_two_levels(schedule, steps)
    # the start of a period may be read repeatedly, so it takes no slot
    assert found == steps + 3 * minimal_advances(period, slots + 1)


def advances_of_two_levels(schedule, steps):
    """Return the steps advanced up to the end of the reverse sweep."""
    advances = 0
    for action in schedule:
        kind = type(action).__name__
        if kind == "Forward" and not action.write_adj_deps:
            advances += min(action.n1, steps) - action.n0
        if kind == "Forward" and schedule.max_n is None and action.n1 >= steps:
            schedule.finalize(steps)
        if kind == "EndReverse":
            return advances
    raise AssertionError("it must end")
