"""Combs hold what a plain list would, whatever is added, taken away and thinned."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from adjoint.schedules.spilling.spacing import GRID, Combs, EvenSteps


class CombsAndList(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.combs = Combs()
        self.plain = []
        self.comb = EvenSteps(0, GRID, 1)
        self.k = 0

    @rule(pitch=st.integers(GRID, 5 * GRID), offset=st.integers(0, 3 * GRID))
    def start_a_comb(self, pitch, offset):
        last = self.plain[-1] + 1 if self.plain else 0
        self.comb, self.k = EvenSteps(last * GRID + offset, pitch, 1), 0

    @rule(count=st.integers(1, 12))
    def add(self, count):
        for _ in range(count):
            leaf = self.comb.leaf(self.k)
            if not self.plain or leaf > self.plain[-1]:
                self.combs.add(self.comb, self.k)
                self.plain.append(leaf)
            self.k += 1

    @rule()
    def pop(self):
        if self.plain:
            leaf, (comb, k) = self.combs.pop()
            assert leaf == comb.leaf(k) == self.plain.pop()

    @rule()
    def pop_and_add_again(self):
        if self.plain:
            _leaf, place = self.combs.pop()
            self.combs.add(*place)

    @rule()
    def thin(self):
        assert list(self.combs.thin()) == self.plain[1::2]
        self.plain = self.plain[::2]

    @invariant()
    def the_same(self):
        assert list(self.combs) == self.plain
        assert self.combs.count == len(self.plain)
        top = self.plain[-1] if self.plain else 0
        there = set(self.plain)
        assert all(self.combs.has(leaf) == (leaf in there) for leaf in range(-2, top + 4))


test_combs = CombsAndList.TestCase


def test_however_many_leaves_a_comb_is_one():
    comb, combs = EvenSteps(5, 3 * GRID + 7, 10**6), Combs()
    for k in range(10**4):
        combs.add(comb, k)
    assert len(combs._combs) == 1
    combs.thin()
    assert len(combs._combs) == 1
