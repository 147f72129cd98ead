"""The example of docs/command_line.md, run: the page shows its very output."""

import re
import shlex
from pathlib import Path

from adjoint import cli

PAGE = Path(__file__).parents[3] / "docs" / "command_line.md"


def test_example(capsys):
    text = PAGE.read_text()
    command = re.search(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    program, *arguments = shlex.split(command[1].replace("\\\n", ""))
    assert program == "adjoint"
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == shown[1], f"put what is printed on the page {PAGE.name}"
