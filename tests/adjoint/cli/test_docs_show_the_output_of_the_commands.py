"""The commands on docs/command_line.md are run, and print what the page shows.

Figures that depend on the machine are not compared, nor are the lines on the journal, which is
written more or less often for that reason.
"""

import re
import shlex
from pathlib import Path

import pytest

from adjoint import cli

PAGE = Path(__file__).parents[3] / "docs" / "command_line.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MEASURED = re.compile(r"\d[\d.,]*(e[+-]\d+)?%?( (ns|us|ms|s|min|B|KiB|MiB))?\b")

VARYING = ("Journal", "Agree", "journal", "record")


def blocks():
    """Return what the page has of each kind, in order."""
    found = {"python": [], "sh": [], "text": []}
    for kind, text in BLOCK.findall(PAGE.read_text()):
        found[kind].append(text)
    return found


def examples():
    """Return the arguments of each command on the page, and what is shown below it."""
    found = blocks()
    commands = [shlex.split(text.replace("\\\n", "")) for text in found["sh"]]
    assert {program for program, *_ in commands} == {"adjoint"}
    shown = dict(zip((command[1] for command in commands), found["text"], strict=True))
    return {command[1]: (command[1:], shown[command[1]]) for command in commands}


def unmeasured(text):
    """Return the lines without figures, and without those that there may or may not be."""
    lines = (" ".join(MEASURED.sub("#", line).split()) for line in text.splitlines())
    return sorted(line for line in lines if not line.startswith(VARYING))


def test_plan(capsys):
    arguments, shown = examples()["plan"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == shown, f"put what is printed on the page {PAGE.name}"


def test_probe(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, shown = examples()["probe"]
    assert cli.main(arguments) == 0
    printed = unmeasured(capsys.readouterr().out)
    # Which engines a machine has, and which of them is best, differs from one to the next.
    headings = ("States of", "engine write", "* through")
    assert {line for line in unmeasured(shown) if line.startswith(headings)} >= {
        line for line in printed if line.startswith(headings)
    }


@pytest.fixture
def in_the_folder_of_the_run(tmp_path, monkeypatch):
    """Go where the page's own program has left its files."""
    monkeypatch.chdir(tmp_path)
    program = next(text for text in blocks()["python"] if "trace=" in text)
    exec(compile(program, str(PAGE), "exec"), {"__name__": "__main__"})


@pytest.mark.usefixtures("in_the_folder_of_the_run")
@pytest.mark.parametrize("command", ["trace", "inspect"])
def test_what_a_run_has_left(command, capsys):
    if command == "trace":
        pytest.importorskip("matplotlib")
    arguments, shown = examples()[command]
    capsys.readouterr()
    assert cli.main(arguments) == 0
    assert unmeasured(capsys.readouterr().out) == unmeasured(shown)
