"""Replay finds every schedule correct, within exactly the slots and file states it announces.

Some announce an upper bound: `Spilling`, since what it uses depends on its virtual clock,
`TapesInFile`, which plays it where tapes do not pay, and `Mixed`, which may leave slots unused if
they are too few for another tape.
"""

from every_schedule import schedules, small_cases
from hypothesis import given, settings

from adjoint.schedules import Spilling, TapesInFile
from adjoint.simulation.replay import price


def check(schedule):
    found = price(
        schedule,
        num_steps=schedule.num_steps,
        num_slots=schedule.num_slots,
        file_states=schedule.file_states,
        tape_slots=schedule.tape_slots,
    )
    if isinstance(getattr(schedule, "schedule", schedule), Spilling | TapesInFile):
        assert found.peak_tapes <= schedule.num_tapes, schedule
        assert found.peak_units <= schedule.num_slots, schedule
        return
    assert found.peak_tapes == schedule.num_tapes, schedule
    unused = schedule.num_slots - found.peak_units
    assert 0 <= unused < max(1, schedule.tape_slots), schedule
    if schedule.num_tapes == 1:
        assert found.peak_slots == found.peak_units, schedule
    assert found.peak_file_states == schedule.file_states, schedule


def test_on_every_small_case():
    for schedule in small_cases(max_steps=40, max_slots=6):
        check(schedule)


@settings(max_examples=200)
@given(schedules(max_steps=1000))
def test_on_any(schedule):
    check(schedule)
