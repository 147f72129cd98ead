"""Which states a spilling stack keeps, walked from the end leaf by leaf, in exact fractions."""

from math import ceil

from adjoint.schedules.revolve import beta


def walk(num_leaves, num_slots, spacing, *, tail_slots, tail_repeats):
    """Return (leaf, whether it goes to the file) in ascending order; `spacing` is a `Fraction`."""
    back, in_memory, on_disk, keeps = 0, 0, None, []
    while True:
        virtual = num_slots - tail_slots + in_memory + 1
        piece = beta(virtual, tail_repeats + 1) if back == 0 else beta(virtual, tail_repeats)
        room = in_memory < tail_slots
        if back > 0 and back + piece - (on_disk or 0) >= spacing:
            to_file = True
        elif room:
            to_file, in_memory = False, in_memory + 1
        else:
            to_file = True
            goal = max(spacing, back + 1) if on_disk is None else on_disk + spacing
            piece = ceil(goal) - back
        back += piece
        if back >= num_leaves:
            return [(0, not room), *reversed(keeps)]
        keeps.append((num_leaves - back, to_file))
        if to_file:
            carried = on_disk is not None and back - (on_disk + spacing) < 1
            on_disk = on_disk + spacing if carried else back
