"""All schedules there are, on small cases and at random: what a contract is tried on."""

from hypothesis import strategies as st

from adjoint.schedules import Asynchronous, Revolve, StoreAll


def small_cases(max_steps, max_slots):
    """Give every schedule there can be, up to so many steps and slots, with leaves of 1 to 3."""
    for leaf in (1, 2, 3):
        for num_steps in range(1, max_steps + 1):
            yield StoreAll(num_steps, leaf_steps=leaf)
            for slots in range((num_steps <= leaf and 0) or 1, max_slots + 1):
                yield Revolve(num_steps, slots, leaf_steps=leaf)
            for slots in range(2, max_slots + 1):
                for interval in range(leaf, num_steps + leaf, leaf):
                    yield Asynchronous(num_steps, slots, interval, leaf_steps=leaf)


@st.composite
def schedules(draw, max_steps=300, max_slots=30):
    """Draw one schedule of any kind."""
    num_steps, leaf = draw(st.integers(1, max_steps)), draw(st.integers(1, 12))
    kind = draw(st.sampled_from([StoreAll, Revolve, Asynchronous]))
    if kind is StoreAll:
        return StoreAll(num_steps, leaf_steps=leaf)
    if kind is Revolve:
        return Revolve(num_steps, draw(st.integers(1, max_slots)), leaf_steps=leaf)
    slots, staging = draw(st.integers(2, max_slots)), draw(st.integers(1, 6))
    interval = leaf * draw(st.integers(1, num_steps // leaf + 2))
    return Asynchronous(num_steps, slots, interval, leaf_steps=leaf, staging=staging)
