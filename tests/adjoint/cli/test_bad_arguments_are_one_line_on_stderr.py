"""Bad arguments give exit code 2 and one line on stderr: what is wrong and what to do about it."""

import pytest
import traces

from adjoint import cli

GOOD = {"--steps": "1e4", "--state": "1 MiB", "--memory": "64 MiB", "--step": "0.01"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--steps": "0"}, "whole number from 1"),
        ({"--steps": "-5"}, "whole number from 1"),
        ({"--steps": "1.5"}, "1e6 or 10^6"),
        ({"--steps": "1e400"}, "1e6 or 10^6"),
        ({"--steps": "many"}, "1e6 or 10^6"),
        ({"--steps": None}, "--steps"),
        ({"--memory": "0"}, "must be positive"),
        ({"--memory": "0.5 MiB"}, "1 slot take 1048576 bytes"),
        ({"--memory": "3 parsecs"}, '"512 MiB"'),
        ({"--state": ""}, '"512 MiB"'),
        ({"--step": "-1"}, '"20 ms"'),
        ({"--step": "0"}, "takes no time"),
        ({"--step": "soon"}, '"20 ms"'),
        ({"--step": None, "--disk": "1 GB"}, "give --step"),
        ({"--disk": "1 kB"}, "no room for one state of 1048576"),
        ({"--write": "1 GB"}, '"1.2 GB/s"'),
        ({"--write": "0 GB/s"}, "must be positive"),
        ({"--write": "1 GB/s", "--slowdown": "0.5"}, "at least 1"),
        ({"--probe": "no/such/folder"}, "not a folder"),
        ({"--plot": "plan.doc"}, ".png"),
        ({"--plot": "no/such/folder/plan.png"}, "there is no folder"),
        ({"--leaf": "0"}, "whole number from 1"),
        ({"--mem": "1 GB"}, "--mem"),
    ],
)
def test_a_bad_argument(changed, said, capsys):
    if "--plot" in changed:
        pytest.importorskip("matplotlib")
    options = {**GOOD, **changed}
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    assert cli.main(["plan", *arguments]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("adjoint: ")
    assert complaint.count("\n") == 1
    assert said in complaint


NO_TRACES = {
    "text": ("results of three months", "is not a trace of a run"),
    "another document": ('{"steps": [1, 2]}', "it contains no events"),
    "no events": ('{"traceEvents": []}', "it contains no events"),
    "an event without a name": (
        '[{"ph": "X", "ts": 0, "dur": 1, "pid": 0}]',
        "event 0 has no name",
    ),
    "no time": ('[{"ph": "X", "name": "Advance", "ts": NaN, "dur": 1, "pid": 0}]', "has no time"),
    "no length": ('[{"ph": "X", "name": "Advance", "ts": 1, "dur": -1, "pid": 0}]', "has no time"),
    "huge steps": (
        '[{"ph": "X", "name": "A", "ts": 1, "dur": 1, "pid": 0, "args": {"start": 1e99}}]',
        "event 0 has the steps",
    ),
    "very deep": ("[" * 200_000, "is not a trace of a run"),
    "not UTF-8": (b"\xff\xfe{}", "is not a trace of a run"),
}


@pytest.mark.parametrize(("text", "said"), NO_TRACES.values(), ids=NO_TRACES)
def test_no_trace(text, said, tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main(["trace", str(path)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert said in complaint
    assert len(complaint) < 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trace"], "FILE"),
        (["trace", "no/such/run.json"], "cannot read the trace"),
        (["trace", "."], "cannot read the trace"),
        (["trace", "TRACE", "--from=soon"], '"20 ms"'),
        (["trace", "TRACE", "--from=2", "--to=1"], "nothing happened from 2.0 s"),
        (["trace", "TRACE", "--from=99"], "the run took 1 s"),
        (["trace", "TRACE", "--plot=run.doc"], ".png"),
        (["inspect"], "FILE"),
        (["inspect", "no/such/run.h5"], "No such file"),
        (["inspect", "."], "not a regular file"),
        (["inspect", "TRACE"], "not an HDF5 file"),
    ],
)
def test_no_such_file_or_time(arguments, said, tmp_path, capsys):
    if "--plot=run.doc" in arguments:
        pytest.importorskip("matplotlib")
    path = traces.write(tmp_path / "run.json", [traces.event("Advance", 0, 1, 0, 1)])
    assert cli.main([str(path) if word == "TRACE" else word for word in arguments]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert said in complaint


@pytest.mark.parametrize("arguments", [[], ["plam"]])
def test_no_such_command(arguments, capsys):
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
