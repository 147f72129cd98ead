"""A state on its way to a slower tier finds all slots free, and goes right through one of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from toy_executor import Toy

from adjoint.schedules import HRevolve
from adjoint.schedules.actions import Discard, Offload, Store, Tier, Wait

tiers_below = st.lists(
    st.tuples(st.none() | st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150)
@given(st.integers(1, 200), st.integers(1, 6), tiers_below, st.integers(1, 3))
def test_within_the_slots_announced(steps, slots, below, leaf):
    schedule = HRevolve(steps, [(slots, 0, 0), *below], leaf_steps=leaf)
    toy = Toy(steps).run(schedule)
    assert toy.most_slots == schedule.num_slots <= slots
    assert toy.most_in_file == schedule.file_states


@settings(max_examples=100)
@given(st.integers(1, 200), st.integers(1, 6), tiers_below)
def test_no_slot_is_taken(steps, slots, below):
    actions = list(HRevolve(steps, [(slots, 0, 0), *below]))
    taken = set()
    for here, action in enumerate(actions):
        match action:
            case Store(step=step):
                taken.add(step)
            case Discard(step=step, tier=Tier.MEMORY):
                taken.remove(step)
            case Offload(step=step):
                assert taken == {step}
                assert actions[here - 1] == Store(step)
                assert actions[here + 1 : here + 3] == [Wait(step), Discard(step, Tier.MEMORY)]
            case _:
                pass
