"""Slots in use, those in transit and kept tapes included, stay within the slots; so does the file.

States are read only after their write was waited for: before that, the toy's file has nothing. The
books agree with the toy after every action.
"""

from hypothesis import given, settings
from spilling_cases import spillings
from toy_executor import Toy


@settings(max_examples=200)
@given(spillings())
def test_at_every_action(schedule):
    inner = getattr(schedule, "schedule", schedule)
    toy = Toy(schedule.num_steps, inner.tape_slots).run(schedule)
    assert toy.most_units <= inner.num_slots
    assert toy.most_in_file <= inner.file_states


@settings(max_examples=100)
@given(spillings(max_steps=100, max_slots=8, known=True))
def test_the_books_agree_with_the_toy(schedule):
    stream, toy = iter(schedule), Toy(schedule.num_steps, schedule.tape_slots)
    books = stream.books
    for action in stream:
        toy.carry_out(action)
        assert books.in_file == len(toy.file) + len(toy.writing)
        if schedule.tape_slots == 0:
            assert schedule.num_slots - books.free == len(toy.slots) + len(toy.reading)
    assert (books.free, books.in_file, books.locked) == (schedule.num_slots, 0, 0)
