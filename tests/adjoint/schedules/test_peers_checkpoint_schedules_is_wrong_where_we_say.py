"""Where checkpoint_schedules 1.0.4 is wrong, by its own model: each is shown, and ours is right.

Where a test here fails, a later version has it right: then the claim is to go.
"""

import pytest
from peer_counts import counted

from adjoint.schedules import DiskRevolve, HRevolve
from adjoint.schedules.actions import Advance
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

peer = pytest.importorskip("checkpoint_schedules")

# (u_f, u_b) -> what it comes to, and what it need not exceed: 61 steps, 3 slots, 20 states in the
# file, a transfer at 20. Its dynamic programme is given the two costs in the wrong order.
SWAPPED = {(1, 5): (677, 606), (5, 1): (1996, 1271)}


@pytest.mark.parametrize(("u_f", "u_b"), SWAPPED)
def test_h_revolve_takes_forward_for_reverse_cost(u_f, u_b):
    theirs = counted(peer.HRevolve(61, 3, 20, uf=u_f, ub=u_b, wd=20, rd=20))
    their_cost = theirs.forwards * u_f + 61 * u_b + 20 * theirs.transfers
    transfer = 20 / u_f
    ours = price(HRevolve(61, 3, 20, write=transfer, read=transfer))
    our_cost = (ours.advances + 61) * u_f + 61 * u_b + 20 * (ours.writes + ours.reads)
    assert (their_cost, our_cost) == SWAPPED[u_f, u_b]


# (steps, slots, write = read) -> what it comes to, and what its own H-Revolve comes to
SUBOPTIMAL = {(37, 1, 5): (207, 203), (37, 1, 8): (243, 235), (60, 2, 20): (374, 369)}


@pytest.mark.parametrize("case", SUBOPTIMAL)
def test_disk_revolve_is_not_the_best(case):
    steps, slots, transfer = case
    theirs = counted(peer.DiskRevolve(steps, slots, uf=1, ub=1, wd=transfer, rd=transfer))
    their_cost = theirs.forwards + transfer * theirs.transfers
    ours = price(DiskRevolve(steps, slots, write=transfer, read=transfer))
    our_cost = ours.advances + steps + transfer * (ours.writes + ours.reads)
    assert (their_cost, our_cost) == SUBOPTIMAL[case]


def test_disk_revolve_recurses_as_deep_as_it_writes_states():
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
