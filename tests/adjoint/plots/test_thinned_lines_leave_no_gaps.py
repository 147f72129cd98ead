"""Thinning keeps real events near where they were: it empties no cell and fills no gap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoint.simulation.timeline import EventLog

canvas = pytest.importorskip("adjoint.plots.canvas")

SECONDS, HEIGHT = 100.0, 70
GRID = (20, 10)


def timeline(lines, name="Advance"):
    log = EventLog()
    for start, stop, begins, ends in lines:
        log.add(name, (start, stop), begins, ends)
    return log.timeline()


def thinned(lines, monkeypatch, count, name="Advance"):
    monkeypatch.setattr(canvas, "MAX_LINES", count)
    monkeypatch.setattr(canvas, "FINEST_GRID", GRID)
    return canvas.thinned_lines(timeline(lines, name), (0.0, SECONDS, 0, HEIGHT))


def cell(point, grid):
    """Return the column and the row of a point, worked out for it alone."""
    column = min(int(point[0] / SECONDS * grid[0]), grid[0] - 1)
    return column, min(int(point[1] / HEIGHT * grid[1]), grid[1] - 1)


def cells(lines, grid=GRID):
    return {(cell(began, grid), cell(ended, grid)) for began, ended in lines}


def many_lines(smallest=0):
    times = st.tuples(st.floats(0, SECONDS), st.floats(0, SECONDS)).map(sorted)
    steps = st.tuples(st.integers(0, HEIGHT), st.integers(0, HEIGHT)).map(sorted)
    line = st.tuples(steps, times).map(lambda drawn: (*drawn[0], *drawn[1]))
    return st.lists(line, min_size=smallest, max_size=60)


def as_points(lines):
    return [((begins, start), (ends, stop)) for start, stop, begins, ends in lines]


@given(many_lines())
def test_few_lines_are_drawn_as_they_are(lines):
    with pytest.MonkeyPatch.context() as patch:
        drawn = thinned(lines, patch, 60)
    assert drawn.tolist() == [[list(began), list(ended)] for began, ended in as_points(lines)]


@given(many_lines(smallest=31))
def test_every_cell_keeps_a_line_and_no_other_gets_one(lines):
    with pytest.MonkeyPatch.context() as patch:
        drawn = thinned(lines, patch, 30)
    assert len(drawn) <= 30
    grid = GRID
    while len(cells(as_points(lines), grid)) > 30:
        grid = tuple(max(1, count // 2) for count in grid)
    assert sorted(cells(drawn, grid)) == sorted(cells(as_points(lines), grid))
    ends = {point for line in as_points(lines) for point in line}
    assert {tuple(point) for line in drawn.tolist() for point in line} <= ends


def test_a_continuous_sweep_stays_continuous(monkeypatch):
    lines = [(k, k + 1, 1.25 * k, 1.25 * (k + 1)) for k in range(70)]
    drawn = thinned(lines, monkeypatch, 40)
    assert len(drawn) < 70
    np.testing.assert_array_equal(drawn[1:, 0], drawn[:-1, 1])
    assert drawn[0, 0].tolist() == [0.0, 0.0]
    assert drawn[-1, 1].tolist() == [87.5, 70.0]


def test_a_gap_stays_open_and_a_calm_part_is_kept(monkeypatch):
    crowd = [(k % 7, k % 7 + 1, k / 100, (k + 1) / 100) for k in range(1000)]
    drawn = thinned([*crowd, (60, 65, 90.0, 95.0)], monkeypatch, 40)
    assert [[90.0, 60.0], [95.0, 65.0]] in drawn.tolist()
    assert not ((drawn[:, 0, 0] < 89) & (drawn[:, 1, 0] > 11)).any()


def test_pull_backs_go_down(monkeypatch):
    drawn = thinned([(10, 30, 0.0, 5.0)], monkeypatch, 40, name="PullBack")
    assert drawn.tolist() == [[[0.0, 30.0], [5.0, 10.0]]]


def test_bars_are_as_dark_as_the_share_of_time_they_take(monkeypatch):
    intervals = np.array([(1.0, 2.0), (2.0, 5.0), (9.0, 12.0)])
    bars, opacities = canvas.thinned_bars(intervals, (0.0, 10.0))
    assert (bars.tolist(), opacities.tolist()) == (intervals.tolist(), [1.0] * 3)
    monkeypatch.setattr(canvas, "MAX_BARS", 2)
    bars, opacities = canvas.thinned_bars(intervals, (0.0, 10.0))
    assert bars.tolist() == [[0.0, 5.0], [5.0, 10.0]]
    least = canvas.LIGHTEST
    assert opacities == pytest.approx([least + 0.8 * (1 - least), least + 0.2 * (1 - least)])


def test_short_bars_are_widened_but_leave_half_of_each_gap():
    intervals = np.array([(0.0, 0.0), (0.001, 0.001), (5.0, 5.0), (9.0, 10.0)])
    bars, _ = canvas.thinned_bars(intervals, (0.0, 8.0))
    assert bars.tolist() == [[0.0, 0.0005], [0.001, 0.011], [5.0, 5.01], [9.0, 10.0]]


def test_a_part_without_transfers_has_no_bar(monkeypatch):
    monkeypatch.setattr(canvas, "MAX_BARS", 4)
    intervals = np.array([(k / 10, k / 10 + 0.05) for k in range(9)])
    bars, _ = canvas.thinned_bars(intervals, (0.0, 4.0))
    assert bars.tolist() == [[0.0, 1.0]]
