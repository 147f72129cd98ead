"""Errors of checkpoint_schedules 1.0.4, by its own model, and the correct results of adjoint.

If a test here fails, a later version has corrected the error: then remove the test.
"""

import pytest
from peer_counts import counted

from adjoint.schedules import DiskRevolve, HRevolve
from adjoint.schedules.actions import Advance
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

peer = pytest.importorskip("checkpoint_schedules")

# (u_f, u_b) -> its cost and the optimum, for 61 steps, 3 slots, 20 states in the file and transfers
# that cost 20. Its dynamic programme gets the two costs in the wrong order.
SWAPPED = {(1, 5): (677, 606), (5, 1): (1996, 1271)}


@pytest.mark.parametrize(("u_f", "u_b"), SWAPPED)
def test_h_revolve_confuses_forward_and_reverse_cost(u_f, u_b):
    theirs = counted(peer.HRevolve(61, 3, 20, uf=u_f, ub=u_b, wd=20, rd=20))
    their_cost = theirs.forwards * u_f + 61 * u_b + 20 * theirs.transfers
    transfer = 20 / u_f
    ours = price(HRevolve(61, 3, 20, write=transfer, read=transfer))
    our_cost = (ours.advances + 61) * u_f + 61 * u_b + 20 * (ours.writes + ours.reads)
    assert (their_cost, our_cost) == SWAPPED[u_f, u_b]


# (steps, slots, write = read) -> its cost, and the cost of its own H-Revolve
SUBOPTIMAL = {(37, 1, 5): (207, 203), (37, 1, 8): (243, 235), (60, 2, 20): (374, 369)}


@pytest.mark.parametrize("case", SUBOPTIMAL)
def test_disk_revolve_is_not_optimal(case):
    steps, slots, transfer = case
    theirs = counted(peer.DiskRevolve(steps, slots, uf=1, ub=1, wd=transfer, rd=transfer))
    their_cost = theirs.forwards + transfer * theirs.transfers
    ours = price(DiskRevolve(steps, slots, write=transfer, read=transfer))
    our_cost = ours.advances + steps + transfer * (ours.writes + ours.reads)
    assert (their_cost, our_cost) == SUBOPTIMAL[case]


def test_disk_revolve_exceeds_the_recursion_limit():
    with pytest.raises(RecursionError):
        peer.DiskRevolve(1000, 2, wd=0.1, rd=0.1)
    ours = price(DiskRevolve(1000, 2, write=0.1, read=0.1), Costs(write=0.1, read=0.1))
    assert ours.advances == 999


def test_two_actions_cannot_be_compared():
    action = peer.EndForward()
    with pytest.raises(TypeError):
        assert action == peer.EndForward()
    assert Advance(0, 1) == Advance(0, 1)


def test_a_schedule_is_never_running():
    schedule = peer.MultistageCheckpointSchedule(5, 2, 0)
    next(schedule)
    assert not schedule.is_running


def test_a_schedule_gives_its_stream_once():
    schedule = peer.MultistageCheckpointSchedule(5, 2, 0)
    assert len(list(schedule)) > 0
    assert list(schedule) == []
