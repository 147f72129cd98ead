"""When a state goes to the file all slots are free, and it passes through one of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from toy_executor import Toy

from adjoint.schedules import HRevolve
from adjoint.schedules.actions import Discard, Offload, Store, Tier, Wait

places = st.none() | st.integers(0, 9)
costs = st.integers(0, 9)


@settings(max_examples=150)
@given(st.integers(1, 200), st.integers(1, 6), places, costs, costs, st.integers(1, 3))
def test_within_the_slots_announced(steps, slots, places, write, read, leaf):
    schedule = HRevolve(steps, slots, places, write=write, read=read, leaf_steps=leaf)
    toy = Toy(steps).run(schedule)
    assert toy.most_slots == schedule.num_slots <= slots
    assert toy.most_in_file == schedule.file_states


@settings(max_examples=100)
@given(st.integers(1, 200), st.integers(1, 6), places, costs, costs)
def test_no_slot_is_taken(steps, slots, places, write, read):
    actions = list(HRevolve(steps, slots, places, write=write, read=read))
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
