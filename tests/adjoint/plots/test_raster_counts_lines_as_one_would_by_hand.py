"""A raster's counts are those of every line followed pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoint.plots.raster import busy_shares, level_counts, line_counts, longest, thinned
from adjoint.simulation.timeline import Segments

ROWS, COLUMNS = 7, 10


def segments(lines):
    made = Segments()
    for start, stop, begins, ends in lines:
        made.add(start, stop, begins, ends)
    return made


def level_lines():
    line = st.tuples(st.integers(0, 70), st.floats(0, 100), st.floats(0, 100))
    return st.lists(line.map(lambda drawn: (drawn[0], drawn[0], *sorted(drawn[1:]))), max_size=20)


def pixel(value, whole, pixels):
    return min(int(value * (pixels / whole)), pixels - 1)


@given(level_lines())
def test_level_lines(lines):
    expected = np.zeros((ROWS, COLUMNS), int)
    for step, _, begins, ends in lines:
        for column in range(pixel(begins, 100, COLUMNS), pixel(ends, 100, COLUMNS) + 1):
            expected[pixel(step, 70, ROWS), column] += 1
    counted = level_counts(segments(lines), 100.0, 70.0, (ROWS, COLUMNS))
    assert counted.tolist() == expected.tolist()


@given(level_lines())
def test_level_lines_as_any_lines_are_found_in_the_same_pixels(lines):
    shape = (ROWS, COLUMNS)
    level = level_counts(segments(lines), 100.0, 70.0, shape)
    assert ((line_counts(segments(lines), 100.0, 70.0, shape) > 0) == (level > 0)).all()


def test_a_diagonal():
    counted = line_counts(segments([(0, 70, 0.0, 70.0)]), 70.0, 70.0, (7, 7))
    assert (np.diag(counted) > 0).all()
    assert counted.sum() == np.trace(counted)


def test_many_lines_are_counted_in_parts(monkeypatch):
    lines = segments([(k % 70, (3 * k) % 70, k / 10, k / 10 + 1) for k in range(900)])
    at_once = line_counts(lines, 100.0, 70.0, (ROWS, COLUMNS))
    monkeypatch.setattr("adjoint.plots.raster.SAMPLES", 7)
    assert (line_counts(lines, 100.0, 70.0, (ROWS, COLUMNS)) == at_once).all()


def test_busy_shares():
    assert busy_shares([], 10.0, 5).tolist() == [0] * 5
    shares = busy_shares([(1.0, 2.0), (2.0, 5.0), (9.0, 12.0)], 10.0, 5)
    assert shares == pytest.approx([0.5, 1.0, 0.5, 0.0, 0.5])


def test_thinned():
    times, steps = thinned(np.array([0.1, 0.2, 5.0, 9.9, 10.0]), np.arange(5), 10.0, 4)
    assert (times.tolist(), steps.tolist()) == ([0.2, 5.0, 10.0], [1, 2, 4])


def test_longest():
    lines = segments([(0, 0, 0.0, 5.0), (0, 40, 0.0, 0.5), (0, 1, 1.0, 1.5)])
    assert longest(lines, 10.0, 50.0, 0.5, 2).tolist() == [True, True, False]
    assert not longest(lines, 10.0, 50.0, 0.5, 1).any()
