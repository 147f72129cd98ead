"""`Capabilities` resolves presence once, reads values when used, and has one default each."""

import numpy as np
from pendulums import CopiedPendulums, Pendulums

from adjoint.steppers import Capabilities, state_bytes


class Full(Pendulums):
    """Has every optional attribute there is."""

    leaf_steps = 3
    reproducible = False
    distributed = ("angle",)
    per_step = ("force",)
    finished = False
    position = 0
    first_non_finite = None
    accepted_steps = np.zeros((0, 2))

    def accept_steps(self, rows):
        self.accepted_steps = rows

    def tape_bytes(self, steps):
        return 1000 * steps

    def fingerprint(self):
        return "μ"


class Bare(CopiedPendulums):
    """Has none but `restored`."""

    def __init__(self):
        super().__init__(2, 5)
        del self.tape_bytes


def test_a_stepper_without_any_has_the_defaults():
    bare = Bare()
    has = Capabilities.of(bare)
    assert has.present == frozenset()
    assert has.leaf_steps is None
    assert has.reproducible is True
    assert has.distributed == has.per_step == frozenset()
    assert has.position is None
    assert has.finished is False
    assert not has.finds_end
    assert has.accepted_steps is None
    assert has.accept_steps(np.zeros((1, 2))) is None
    assert has.first_non_finite is None
    assert has.tape_bytes(3) == 3 * state_bytes(bare.state)
    assert has.fingerprint() == {}
    assert has.adopting is None


def test_a_stepper_with_all_is_read_as_it_is():
    full = Full(2, 5)
    has = Capabilities.of(full)
    assert has.leaf_steps == 3
    assert has.reproducible is False
    assert has.distributed == {"angle"}
    assert has.per_step == {"force"}
    assert has.finds_end
    assert has.tape_bytes(3) == 3000
    assert has.fingerprint() == {"fingerprint()": "μ"}
    assert has.adopting is full
    assert has.restorable is None
    assert Capabilities.of(CopiedPendulums(2, 5)).restorable is not None


def test_values_are_read_when_they_are_used():
    full = Full(2, 5)
    has = Capabilities.of(full)
    full.position, full.finished, full.first_non_finite = 4, True, 2
    full.distributed = ("angle", "force")
    has.accept_steps(np.ones((1, 2)))
    assert (has.position, has.finished, has.first_non_finite) == (4, True, 2)
    assert has.distributed == {"angle", "force"}
    assert has.accepted_steps.shape == (1, 2)


def test_presence_is_found_without_reading_a_property():
    class Lazy(Pendulums):
        @property
        def accepted_steps(self):
            raise AssertionError("read before it was needed")

    assert "accepted_steps" in Capabilities.of(Lazy(2, 5)).present


def test_an_attribute_of_a_wrapped_stepper_is_found():
    class Wrapper:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

    assert Capabilities.of(Wrapper(Full(2, 5))).leaf_steps == 3


def test_a_tape_that_is_kept_is_asked_for_only_where_that_is_an_argument():
    stepper = Pendulums(2, 5)
    state = state_bytes(stepper.state)
    has = Capabilities.of(stepper)
    assert [has.tape_bytes(3), has.tape_bytes(3, kept=True)] == [2 * state, 3 * state]
    has = Capabilities.of(Full(2, 5))
    assert has.tape_bytes(3, kept=True) == 3000


def test_memory_of_tapes_is_the_steppers_own_unless_it_says_so():
    assert Capabilities.of(Bare()).tape_memory is None
    stepper = Pendulums(2, 5)
    assert Capabilities.of(stepper).tape_memory is stepper.tape_memory
