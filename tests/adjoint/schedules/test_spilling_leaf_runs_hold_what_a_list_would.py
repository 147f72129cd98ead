"""Leaf runs hold what a plain list would, whatever is added, taken away and thinned."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from adjoint.schedules.spilling.spacing import GRID, EvenSteps, LeafRuns


class RunsAndList(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.runs = LeafRuns()
        self.plain = []
        self.run = EvenSteps(0, GRID, 1)
        self.k = 0

    @rule(pitch=st.integers(GRID, 5 * GRID), offset=st.integers(0, 3 * GRID))
    def start_a_run(self, pitch, offset):
        last = self.plain[-1] + 1 if self.plain else 0
        self.run, self.k = EvenSteps(last * GRID + offset, pitch, 1), 0

    @rule(count=st.integers(1, 12))
    def add(self, count):
        for _ in range(count):
            leaf = self.run.leaf(self.k)
            if not self.plain or leaf > self.plain[-1]:
                self.runs.add(self.run, self.k)
                self.plain.append(leaf)
            self.k += 1

    @rule()
    def pop(self):
        if self.plain:
            leaf, (run, k) = self.runs.pop()
            assert leaf == run.leaf(k) == self.plain.pop()

    @rule()
    def pop_and_add_again(self):
        if self.plain:
            _leaf, place = self.runs.pop()
            self.runs.add(*place)

    @rule()
    def thin(self):
        assert list(self.runs.thin()) == self.plain[1::2]
        self.plain = self.plain[::2]

    @invariant()
    def the_same(self):
        assert list(self.runs) == self.plain
        assert self.runs.count == len(self.plain)


test_leaf_runs = RunsAndList.TestCase


def test_evenly_spaced_leaves_are_one_run():
    evenly, runs = EvenSteps(5, 3 * GRID + 7, 10**6), LeafRuns()
    for k in range(10**4):
        runs.add(evenly, k)
    assert len(runs._runs) == 1
    runs.thin()
    assert len(runs._runs) == 1
