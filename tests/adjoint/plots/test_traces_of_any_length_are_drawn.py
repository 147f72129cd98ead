"""A trace of fifty events is drawn line by line, one of very many as a sample of the lines."""

import numpy as np
import pytest
from traces import event, sweep, write

from adjoint import cli, plots
from adjoint.reporting.trace_file import read_trace

pytest.importorskip("matplotlib")
Figure = pytest.importorskip("matplotlib.figure").Figure


def plot(tmp_path, events, ending, *more):
    trace, picture = tmp_path / "run.json", tmp_path / f"run{ending}"
    write(trace, events)
    assert cli.main(["trace", str(trace), f"--plot={picture}", *more]) == 0
    return picture.read_bytes()


@pytest.mark.parametrize(
    ("ending", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_few_events(ending, magic, tmp_path):
    assert plot(tmp_path, sweep(20), ending).startswith(magic)


def test_many_events_of_two_ranks(tmp_path):
    drawn = plot(tmp_path, [*sweep(12_000), *sweep(12_000, rank=1)], ".svg")
    assert 10_000 < len(drawn) < 3_000_000


def test_a_part(tmp_path):
    plot(tmp_path, sweep(200), ".png", "--from=100 ms", "--to=200 ms")


def test_events_that_take_no_step_or_no_time(tmp_path):
    plot(tmp_path, [event("Wait", 0, 1e-3, 3), event("Advance", 1e-3, 0.0, 3, 4)], ".png")


def test_of_many_ranks_the_first_and_those_that_waited_longest(tmp_path):
    events = [event("Advance", 0, 10, 0, 50, rank=rank) for rank in range(9)]
    events += [event("Wait", 10, rank % 5, 50, rank=rank) for rank in range(9)]
    figure = plots.trace_figure(read_trace(write(tmp_path / "run.json", events)))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["rank 0", "rank 3", "rank 4", "rank 8"]
    assert figure.get_suptitle() == "5 ranks that waited less not shown"


def test_lines_and_tracks_are_where_the_events_are(tmp_path):
    events = [
        event("Advance", 0, 4, 0, 40),
        event("PullBack", 5, 2, 20, 40),
        event("Write", 1, 2, 0, transfer=True),
        event("Write", 2, 2.5, 10, transfer=True),
        event("Wait", 4, 1, 10),
    ]
    trace = read_trace(write(tmp_path / "run.json", events))
    axes = Figure().subplots()
    plots.draw_timeline(axes, trace.ranks[0])
    # No snapshots, in the file or in memory; then advances, records and pull-backs.
    assert not any(drawn.get_segments() for drawn in axes.collections[:2])
    lines = [drawn.get_segments() for drawn in axes.collections[2:5]]
    np.testing.assert_allclose(lines[0], [[(0, 0), (4, 40)]])
    assert not lines[1]
    np.testing.assert_allclose(lines[2], [[(5, 40), (7, 20)]])
    # Overlapping writes are one bar; there are no reads.
    bars = [drawn.get_paths() for drawn in axes.collections[5:]]
    assert [len(paths) for paths in bars] == [1, 0, 1]
    assert bars[0][0].get_extents().intervalx.tolist() == [1.0, 4.5]
    assert bars[2][0].get_extents().intervalx.tolist() == [4.0, 5.0]
    assert axes.get_ylim()[0] < bars[2][0].get_extents().y0 < bars[0][0].get_extents().y1 < 0
