"""Bad input is exit code 2 and one line on stderr, which says what is wrong and what would do."""

import pytest

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
        ({"--memory": "1.5 MiB"}, "one slot take 2097152 bytes"),
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


@pytest.mark.parametrize("arguments", [[], ["plam"]])
def test_no_such_command(arguments, capsys):
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
