"""The classic Revolve program, as wrapped by pyrevolve, advances as many steps as adjoint."""

import pytest

from adjoint.schedules import Revolve
from adjoint.schedules.revolve import minimal_advances
from adjoint.simulation.replay import price

peer = pytest.importorskip("pyrevolve")

RUNS = [(n, s) for n in (2, 3, 10, 57, 100) for s in (1, 2, 3, 5) if s < n]


@pytest.mark.parametrize(("steps", "slots"), RUNS)
def test_played(steps, slots):
    # its constructor plays the schedule and counts the steps advanced
    theirs = peer.schedulers.CRevolve(slots, steps)
    assert theirs.ratio * steps == pytest.approx(price(Revolve(steps, slots)).advances)


def test_its_count_is_the_closed_form():
    cases = [(1000, 20), (10**4, 10), (10**5, 10), (10**6, 100), (15_000_000, 10), (10**8, 16)]
    for steps, slots in [*RUNS, *cases]:
        assert peer.numforw(steps, slots) == minimal_advances(steps, slots)
