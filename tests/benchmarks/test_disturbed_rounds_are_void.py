"""A round in which two evaluations of the same way differ by more than 6 % does not count."""

from itertools import count

import pytest

pytest.importorskip("scipy")

from plan_campaign import rounds


class Quiet:
    is_heavy = False


class Busy:
    is_heavy = True


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(rounds, "Noise", Quiet)


def test_equal_rounds_count_until_they_decide(quiet):
    times = rounds.play({"a": lambda: 1.0, "b": lambda: 2.0}, "a", lambda _: True)
    assert times.by_way == {"a": [1.0] * rounds.MIN_ROUNDS, "b": [2.0] * rounds.MIN_ROUNDS}


def test_unequal_evaluations_of_the_same_way_void_a_round(quiet):
    calls = count()
    jumping = lambda: 1.0 if next(calls) % 4 else 1.2  # noqa: E731 (first of every second round)
    times = rounds.play({"a": jumping, "b": lambda: 2.0}, "a", lambda _: True)
    assert times.count == rounds.MIN_ROUNDS
    assert len(times.of_void["b"]) == rounds.MIN_ROUNDS


def test_a_busy_machine_ends_undecided(monkeypatch):
    monkeypatch.setattr(rounds, "Noise", Busy)
    times = rounds.play({"a": lambda: 1.0}, "a", lambda _: True)
    assert times.count == 0
    assert len(times.of_void["a"]) == rounds.MAX_ROUNDS


def test_undecided_times_end_after_the_most_rounds(quiet):
    times = rounds.play({"a": lambda: 1.0}, "a", lambda _: False)
    assert times.count == rounds.MAX_ROUNDS
