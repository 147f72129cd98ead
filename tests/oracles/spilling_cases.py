"""Spilling schedules of every kind, for `every_schedule` and for what is Spilling's own."""

from ended import Ended
from hypothesis import strategies as st

from adjoint.errors import ScheduleError
from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs

TRANSFERS = [0, 0.01, 0.3, 1, 1.2, 2, 5, 10, 50, 200, 1000]
PLAIN = Costs(advance=1, pull_back=2, write=3, read=3)
SLOW_READS = Costs(advance=1, record=0.5, unreached=1, pull_back=1, write=0.3, read=20, post=0.1)
SLOW_COPIES = Costs(pull_back=7, write=6, read=1, store=0.5, restore=0.25, slowdown=2)
KINDS = [
    (PLAIN, {"tail_slots": 1}),
    (SLOW_READS, {"tape_slots": 1}),
    (SLOW_COPIES, {"tail_repeats": 0}),
    (PLAIN, {"tape_slots": 2, "tail_slots": 2}),
    (SLOW_COPIES, {"tape_slots": 3, "tail_repeats": 2}),
]


def spilling_cases(num_steps, leaf, max_slots):
    yield from _cases(num_steps, num_steps, leaf, max_slots)


def spilling_on_cases(num_steps, leaf, max_slots):
    for schedule in _cases(None, num_steps, leaf, max_slots, file_states=2 + num_steps % 4):
        # a table of tapes for a run of any length takes a while
        if schedule.tape_slots == 0 or num_steps % 6 == 0:
            yield Ended(schedule, num_steps)


def _cases(num_steps, end, leaf, max_slots, file_states=None):
    for place, slots in enumerate(sorted({1, 2, max_slots})):
        for costs, options in KINDS[(place + end) % 2 :: 2]:
            if max(options.get("tape_slots", 0), options.get("tail_slots", 0)) > slots:
                continue
            yield Spilling(
                num_steps,
                slots,
                leaf * (1, 1.3, 4)[(place + end) % 3],
                costs=costs,
                leaf_steps=leaf,
                max_file_states=file_states,
                **options,
            )


def draw_spilling(draw, num_steps, leaf, max_slots):
    options = draw_options(draw, num_steps, leaf, max_slots)
    room = draw(st.none() | st.integers(0, 12))
    try:
        return Spilling(num_steps, max_file_states=room, **options)
    except ScheduleError:
        return Spilling(num_steps, **options)


def draw_spilling_on(draw, num_steps, leaf, max_slots):
    options = draw_options(draw, num_steps, leaf, max_slots)
    room = draw(st.sampled_from([2, 3, 5, 8, 40]))
    return Ended(Spilling(None, max_file_states=room, **options), num_steps)


def draw_options(draw, num_steps, leaf, max_slots):
    """Draw all parameters but `num_steps` and `file_states`."""
    slots = draw(st.integers(1, max_slots))
    costs = draw_costs(draw)
    write = costs.write / (costs.advance or 1)
    interval = draw(
        st.sampled_from([leaf, max(leaf, write), max(leaf, 2 * write)])
        | st.floats(leaf, num_steps + 3 * leaf)
    )
    return {
        "num_slots": slots,
        "interval": interval,
        "costs": costs,
        "leaf_steps": leaf,
        "tail_slots": draw(st.integers(0, slots)),
        "tail_repeats": draw(st.integers(0, 5)),
        "tape_slots": min(slots, draw(st.integers(0, 3))),
    }


def draw_costs(draw):
    advance, write = draw(st.sampled_from([1, 0.5, 3, 0])), draw(st.sampled_from(TRANSFERS))
    return Costs(
        advance=advance,
        record=draw(st.sampled_from([0, 0.5])),
        unreached=draw(st.sampled_from([0, advance, advance / 2])),
        pull_back=draw(st.sampled_from([1, 2, 0, 7])),
        write=write,
        read=draw(st.just(write) | st.sampled_from(TRANSFERS)),
        post=draw(st.sampled_from([0, 0.1])),
        store=draw(st.sampled_from([0, 0.2])),
        restore=draw(st.sampled_from([0, 0.3])),
        turn=draw(st.sampled_from([0, 5])),
        slowdown=draw(st.sampled_from([1, 1.3, 2.5])),
        read_slowdown=draw(st.sampled_from([1, 1.2, 4])),
    )


@st.composite
def spillings(draw, max_steps=300, max_slots=20, *, whole_leaves=False, known=False):
    """Draw a schedule, with or without a known end; wrapped in `Ended` if without."""
    leaf = draw(st.integers(1, 4))
    num_steps = draw(st.integers(1, max_steps))
    if whole_leaves:
        num_steps *= leaf
    one = draw_spilling if known or draw(st.booleans()) else draw_spilling_on
    return one(draw, num_steps, leaf, max_slots)
