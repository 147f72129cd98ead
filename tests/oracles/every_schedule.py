"""All schedules there are, on small cases and at random: what a contract is tried on.

A further family is two functions and a line in `FAMILIES`.
"""

from hypothesis import strategies as st

from adjoint.schedules import Asynchronous, Revolve, StoreAll


def store_all_cases(num_steps, leaf, max_slots):
    yield StoreAll(num_steps, leaf_steps=leaf)


def draw_store_all(draw, num_steps, leaf, max_slots):
    return StoreAll(num_steps, leaf_steps=leaf)


def revolve_cases(num_steps, leaf, max_slots):
    for slots in range((num_steps <= leaf and 0) or 1, max_slots + 1):
        yield Revolve(num_steps, slots, leaf_steps=leaf)


def draw_revolve(draw, num_steps, leaf, max_slots):
    return Revolve(num_steps, draw(st.integers(1, max_slots)), leaf_steps=leaf)


def asynchronous_cases(num_steps, leaf, max_slots):
    for slots in range(2, max_slots + 1):
        for interval in range(leaf, num_steps + leaf, leaf):
            yield Asynchronous(num_steps, slots, interval, leaf_steps=leaf)


def draw_asynchronous(draw, num_steps, leaf, max_slots):
    slots, staging = draw(st.integers(2, max_slots)), draw(st.integers(1, 6))
    interval = leaf * draw(st.integers(1, num_steps // leaf + 2))
    return Asynchronous(num_steps, slots, interval, leaf_steps=leaf, staging=staging)


# family -> (cases(num_steps, leaf, max_slots), draw(draw, num_steps, leaf, max_slots))
FAMILIES = {
    "StoreAll": (store_all_cases, draw_store_all),
    "Revolve": (revolve_cases, draw_revolve),
    "Asynchronous": (asynchronous_cases, draw_asynchronous),
}


def small_cases(max_steps, max_slots):
    """Give every schedule there can be, up to so many steps and slots, with leaves of 1 to 3."""
    for leaf in (1, 2, 3):
        for num_steps in range(1, max_steps + 1):
            for cases, _draw in FAMILIES.values():
                yield from cases(num_steps, leaf, max_slots)


@st.composite
def schedules(draw, max_steps=300, max_slots=30):
    """Draw one schedule of any kind."""
    num_steps, leaf = draw(st.integers(1, max_steps)), draw(st.integers(1, 12))
    _cases, draw_one = FAMILIES[draw(st.sampled_from(list(FAMILIES)))]
    return draw_one(draw, num_steps, leaf, max_slots)
