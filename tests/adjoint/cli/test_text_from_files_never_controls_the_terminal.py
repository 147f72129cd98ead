"""Escape sequences in names that come from a file are shown, and not sent to the terminal."""

import json

import numpy as np
import pytest
import snapshot_files
import traces

from adjoint import cli
from adjoint.printable import printable

HOSTILE = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "lines": "u\r\nadjoint: all is well",
    "right to left": "u\u202e5h.nur",
    "eight-bit escape": "\x9b2J",
    "half a pair": "\ud83d",
}


def shown(capsys, *arguments):
    code = cli.main(list(map(str, arguments)))
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert all(c.isprintable() for c in text.replace("\n", "")), ascii(text)
    return code, text


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_names_of_events(name, tmp_path, capsys):
    path = traces.write(tmp_path / "run.json", [traces.event(name, 0, 1)])
    code, text = shown(capsys, "trace", path)
    assert code == 0
    assert ascii(name)[1:-1] in text


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_names_of_arrays_and_problems(name, tmp_path, capsys):
    path = tmp_path / "run.h5"
    state = {"u": np.arange(4.0)}
    fields = snapshot_files.fields_of(state)
    fields[0]["name"] = name
    document = {"problem": f"of {name}", "layouts": [fields], "ranks": [0]}
    snapshot_files.make(path, {0: [state]}, layout=json.dumps(document).encode())
    code, text = shown(capsys, "inspect", path)
    assert code == 0
    assert text.count(ascii(name)[1:-1]) == 2


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "bell\x07"])
@pytest.mark.parametrize("command", ["trace", "inspect"])
def test_names_of_files(command, name, tmp_path, capsys):
    code, text = shown(capsys, command, tmp_path / name)
    assert code == 2
    assert text.count("\n") == 1


def test_what_is_printable_stays():
    assert printable("Größe µ 東京 \\ 'x'") == "Größe µ 東京 \\ 'x'"
    assert printable("x" * 500, 7) == "xxxxxxx…"
