"""What tapes take comes from whoever lends it, and goes back there, each once."""

import numpy as np
import pytest

from adjoint.steppers import Scratch


class Lender:
    """Lends numbered arrays, and notes which are out."""

    def __init__(self):
        self.idle, self.out, self.made = [], [], 0

    def take(self, count):
        for _ in range(count - len(self.idle)):
            self.made += 1
            self.idle.append(Piece(self.made))
        taken = [self.idle.pop() for _ in range(count)]
        self.out += taken
        return taken

    def give_back(self, pieces):
        for piece in pieces:
            self.out.remove(piece)
            self.idle.append(piece)


class Piece:
    def __init__(self, number):
        self.arrays = {"u": np.full(2, number)}


@pytest.fixture
def lender():
    return Lender()


@pytest.fixture
def scratch(lender):
    scratch = Scratch(lambda: {"u": np.zeros(2)})
    scratch.use(lender.take, lender.give_back)
    return scratch


def test_a_tape_that_is_given_back_is_the_next_one_in_the_same_order(lender, scratch):
    first = scratch.take(3)
    scratch.give_back(first)
    assert all(one is other for one, other in zip(scratch.take(3), first, strict=True))
    assert lender.made == 3


def test_part_of_what_was_taken_may_go_back_first(lender, scratch):
    kept, gone = scratch.take(2), scratch.take(3)
    scratch.give_back(gone[1:])
    assert len(lender.out) == 3
    scratch.give_back([*kept, gone[0]])
    assert lender.out == []


def test_a_run_begins_with_nothing_taken(lender, scratch):
    scratch.take(2)
    scratch.begin()
    assert lender.out == []
    scratch.take(2)
    assert lender.made == 2


def test_other_arrays_are_left_alone(lender, scratch):
    live = {"u": np.zeros(2)}
    tape = [live, *scratch.take(2)]
    scratch.give_back(tape)
    assert lender.out == []
    assert len(lender.idle) == 2


def test_memory_of_its_own_is_reused(lender, scratch):
    scratch.use_own()
    first = scratch.take(2)
    scratch.give_back(first)
    assert all(one is other for one, other in zip(scratch.take(2), first, strict=True))
    assert lender.made == 0


def test_what_was_taken_from_another_is_void(lender, scratch):
    taken = scratch.take(2)
    scratch.use_own()
    scratch.give_back(taken)
    assert all(one is not other for one in scratch.take(3) for other in taken)
