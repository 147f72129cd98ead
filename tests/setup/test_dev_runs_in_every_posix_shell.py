"""The `dev` script is read and run by every POSIX shell at hand."""

import shutil
import subprocess
from pathlib import Path

import pytest

DEV = Path(__file__).parents[2] / "dev"
SHELLS = [
    (shell, *options)
    for shell, *options in (("sh",), ("dash",), ("bash", "--posix"), ("busybox", "sh"), ("ksh",))
    if shutil.which(shell)
]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_syntax(shell):
    assert run(*shell, "-n", DEV).stderr == ""


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_help_names_every_command(shell):
    done = run(*shell, DEV, "help")
    assert done.returncode == 0
    for command in ("demo", "test", "lint", "docs", "environment", "help"):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_command_that_does_not_exist_is_refused(shell):
    done = run(*shell, DEV, "no-such-command")
    assert done.returncode == 2
    assert "no-such-command" in done.stderr
