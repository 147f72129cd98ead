"""Schedules given by hand use no more bytes than the plan may: slots, and the tape of a leaf.

Counted here by playing them: `adjoint.replay` says how many slots are in use at once.
"""

from types import SimpleNamespace

import pytest

pytest.importorskip("scipy")

from plan_campaign.configurations import THIRTY, Configuration
from plan_campaign.ways import Room, in_file, in_memory

from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

STATE = 128


@pytest.fixture
def stepper():
    state = {"u": SimpleNamespace(nbytes=STATE - 3)}
    return SimpleNamespace(state=state, tape_bytes=lambda steps: steps * STATE)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 1.1, None])
def test_slots_and_tape_fit(share, stepper):
    configuration = Configuration("half-tape wave", STATE, 200, share, file=True)
    room = Room.of(configuration, stepper)
    costs = Costs(write=5, read=5)
    rivals = [*in_memory(configuration, room), *in_file(configuration, room, costs)]
    assert {"Revolve 1", "Spilling 1 w/u", "DiskRevolve"} <= {rival.name for rival in rivals}
    for rival in rivals:
        leaf = rival.schedule.leaf_steps
        slots = price(rival.schedule, costs).peak_slots
        assert slots * STATE + leaf * STATE <= room.memory_bytes, rival


def test_thirty_configurations_with_names_of_their_own():
    assert len({configuration.name for configuration in THIRTY}) == 30
    assert sum(configuration.file for configuration in THIRTY) == 6
    assert sum(configuration.ranks == 2 for configuration in THIRTY) == 4
