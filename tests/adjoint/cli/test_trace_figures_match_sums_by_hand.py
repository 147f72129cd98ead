"""``adjoint trace`` prints the sums of actions, hidden transfers and waits computed by hand."""

import json

import numpy as np
import pytest
from traces import event, write

from adjoint import cli
from adjoint.reporting.trace_file import read_trace
from adjoint.reporting.trace_summary import summarise
from adjoint.simulation.timeline import Track

# One rank: steps from 0 to 4 s, a wait from 4 to 5, a pull-back from 5 to 7, nothing up to 8, a
# wait from 8 to 8.5. Transfers from 1 to 3, from 2 to 4.5, and from 7.5 to 8.
EVENTS = [
    event("Advance", 0, 4, 0, 40),
    event("Write", 1, 2, 0, transfer=True),
    event("Write", 2, 2.5, 10, transfer=True),
    event("Wait", 4, 1, 10),
    event("PullBack", 5, 2, 20, 40),
    event("Read", 7.5, 0.5, 10, transfer=True),
    event("Wait", 8, 0.5, 20),
]


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "run.json", EVENTS)


def printed(capsys, *arguments):
    assert cli.main(["trace", *map(str, arguments)]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_all_of_it(path, capsys):
    lines = printed(capsys, path)
    assert lines[0] == f"{path}: 1 rank, 8.50 s, 7 events"
    assert lines[2:7] == [
        "action count time share",
        "Advance 1 4.00 s 47.1%",
        "PullBack 1 2.00 s 23.5%",
        "Wait 2 1.50 s 17.6%",
        "between 1.00 s 11.8%",
    ]
    # Transfers were under way for 3.5 + 0.5 s, 3 s of it during the advance.
    assert lines[8] == (
        "rank 0: 2 writes and 1 read were under way for 4.00 s, 75.0% of it while steps ran; the "
        "computation waited for 1.50 s in 2 waits, the longest 1.00 s, for state 10 at 4.00 s."
    )


def test_a_part_of_it(path, capsys):
    lines = printed(capsys, path, "--from=3 s", "--to=6 s")
    assert lines[0] == f"{path}: 1 rank, 3.00 s from 3.00 s on, 4 events"
    assert lines[3:6] == [
        "Advance 1 1.00 s 33.3%",
        "Wait 1 1.00 s 33.3%",
        "PullBack 1 1.00 s 33.3%",
    ]
    assert "1 write and 0 reads were under way for 1.50 s, 66.7%" in lines[8]


def test_lines_are_cut_where_the_part_ends(path):
    timeline = read_trace(path).within(1.0, 6.0).ranks[0]
    (advance,), (pull_back,) = timeline.select("Advance"), timeline.select("PullBack")
    assert advance == ("Advance", 10, 40, 1.0, 4.0, Track.COMPUTATION)
    # It goes down from 40 to 20 between 5 s and 7 s, so it is at 30 when the part ends.
    assert pull_back == ("PullBack", 30, 40, 5.0, 6.0, Track.COMPUTATION)


def test_ranks_are_compared(tmp_path, capsys):
    events = [event("Advance", 0, 3, 0, 9), event("Advance", 0, 1, 0, 9, rank=1)]
    lines = printed(capsys, write(tmp_path / "run.json", events))
    assert lines[2:5] == [
        "action count time share min max",
        "Advance 1 2.00 s 66.7% 1.00 s 3.00 s",
        "between 1.00 s 33.3% 0.00 s 2.00 s",
    ]
    assert lines[6] == "rank 0: no transfers; the computation never waited."


def test_hidden_time_is_that_of_sampling(tmp_path, rng):
    def several(names, count, *, transfer):
        times = np.sort(rng.uniform(0, 50, (count, 2)), axis=0)
        return [
            event(rng.choice(names), began, length / 20, 3, transfer=transfer)
            for began, length in times
        ]

    events = several(["Advance", "Wait"], 30, transfer=False)
    events += several(["Write", "Read"], 20, transfer=True)
    trace = read_trace(write(tmp_path / "run.json", events))
    instants = np.linspace(0, 60, 400_001)

    def during(names):
        found = [e for e in events if e["name"] in names]
        return sum(
            (e["ts"] / 1e6 <= instants) & (instants < (e["ts"] + e["dur"]) / 1e6) for e in found
        ).astype(bool)

    busy, computing = during({"Write", "Read"}), during({"Advance"})
    assert f", {(busy & computing).sum() / busy.sum():.1%} of it" in summarise(trace)


def test_events_of_other_programs_are_left_out(path, capsys):
    before = printed(capsys, path)
    document = json.loads(path.read_text())
    document["traceEvents"] += [
        {"ph": "C", "name": "memory", "pid": "kernel", "ts": 1, "args": {"bytes": 7}},
        {"ph": "B", "name": "half", "ts": 0},
    ]
    document["otherData"] = {"nested": {"deeply": [1]}}
    path.write_text(json.dumps(document))
    assert printed(capsys, path) == before
    path.write_text(json.dumps(document["traceEvents"]))
    assert printed(capsys, path) == before
