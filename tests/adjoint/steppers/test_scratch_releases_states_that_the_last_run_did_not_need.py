"""A stepper's scratch is what its last run needed, not what a probe once tried."""

import weakref

import numpy as np

from adjoint.steppers import Scratch


class State(dict):
    """A mapping that can be watched."""


def lend(scratch, count):
    taken = [scratch.take() for _ in range(count)]
    scratch.give_back(taken)
    return [weakref.ref(state) for state in taken]


def test_scratch():
    scratch = Scratch(lambda: State(u=np.zeros(2)))
    scratch.begin()
    many = lend(scratch, 16)
    scratch.begin()
    few = lend(scratch, 3)
    assert [ref() for ref in few] == [ref() for ref in many[:3]], "warm states are lent again"
    assert all(ref() is not None for ref in many)
    scratch.begin()
    assert [ref() is not None for ref in many] == [True] * 3 + [False] * 13


def test_states_lost_with_an_interrupted_run_are_made_anew():
    scratch = Scratch(lambda: State(u=np.zeros(2)))
    scratch.take()
    scratch.begin()
    first, second = scratch.take(), scratch.take()
    assert first is not second
