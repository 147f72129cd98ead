"""Replay rejects mutated streams that a toy executor cannot carry out correctly."""

import random

import pytest
from toy_executor import Toy, ToyError

from adjoint.errors import ScheduleError
from adjoint.schedules import Asynchronous, Revolve, StoreAll
from adjoint.schedules.actions import Turn
from adjoint.simulation.replay import price

SCHEDULES = [
    StoreAll(6),
    StoreAll(11, leaf_steps=3),
    Revolve(14, 3),
    Revolve(23, 2, leaf_steps=2),
    Asynchronous(13, 2, 3),
    Asynchronous(17, 4, 4),
    Asynchronous(22, 3, 4, leaf_steps=2),
    Asynchronous(12, 3, 2, staging=1),
]
MUTANTS = 600


def drop(actions, rng):
    del actions[rng.randrange(len(actions))]


def double(actions, rng):
    here = rng.randrange(len(actions))
    actions.insert(here, actions[here])


def swap(actions, rng):
    here = rng.randrange(len(actions) - 1)
    actions[here : here + 2] = actions[here : here + 2][::-1]


def move(actions, rng):
    action = actions.pop(rng.randrange(len(actions)))
    actions.insert(rng.randrange(len(actions) + 1), action)


def shift(actions, rng):
    here = rng.randrange(len(actions))
    action = actions[here]
    if type(action) is Turn:
        return
    fields = [getattr(action, name) for name in type(action).__slots__]
    which = rng.choice([k for k, value in enumerate(fields) if isinstance(value, int)])
    fields[which] = max(0, fields[which] + rng.choice([-2, -1, 1, 2]))
    actions[here] = type(action)(*fields)


def goes_wrong(actions, schedule):
    try:
        toy = Toy(schedule.num_steps).run(actions)
    except ToyError:
        return True
    return toy.most_slots > schedule.num_slots or toy.most_in_file > schedule.file_states


def is_rejected(actions, schedule):
    try:
        price(
            actions,
            num_steps=schedule.num_steps,
            num_slots=schedule.num_slots,
            file_states=schedule.file_states,
        )
    except ScheduleError:
        return True
    return False


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("mutate", [drop, double, swap, move, shift])
def test_mutants(schedule, mutate):
    rng = random.Random(20180603)
    wrong = 0
    for _ in range(MUTANTS // len(SCHEDULES)):
        actions = list(schedule)
        mutate(actions, rng)
        if goes_wrong(actions, schedule):
            wrong += 1
            assert is_rejected(actions, schedule), actions
    assert wrong > 0
