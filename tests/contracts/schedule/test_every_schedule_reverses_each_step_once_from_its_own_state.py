"""Each step is reversed once, last first, from its own state, within the slots announced."""

from every_schedule import schedules, small_cases
from hypothesis import given, settings
from toy_executor import Toy


def check(schedule):
    toy = Toy(schedule.num_steps, schedule.tape_slots, schedule.num_slots).run(schedule)
    assert toy.most_units <= schedule.num_slots, schedule
    assert toy.most_in_file <= schedule.file_states, schedule


def test_on_every_small_case():
    for schedule in small_cases(max_steps=22, max_slots=5):
        check(schedule)


@settings(max_examples=150)
@given(schedules())
def test_on_any(schedule):
    check(schedule)
