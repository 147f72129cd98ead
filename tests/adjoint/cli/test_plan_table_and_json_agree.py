"""The rows of the table have the figures of the JSON, in its order, and the same one is marked."""

import json
import re

import pytest

from adjoint import cli

ARGUMENTS = ["plan", "--steps=5000", "--state=1 MB", "--memory=30 MB", "--step=1 ms"]
FILE = ["--write=0.5 GB/s", "--read=4 GB/s", "--disk=1 GB"]
KEYS = """num_steps state_bytes memory_bytes costs tape_bytes piece_bytes disk_bytes leaf_steps
forward_seconds ideal_seconds everything_bytes plans notes"""
PLAN_KEYS = """family schedule chosen reason predicted_seconds over_forward over_ideal memory_bytes
file_bytes states_written states_read leaf_steps num_slots num_tapes file_states"""
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "ms": 1e-3, "s": 1, "min": 60, "h": 3600}
ROW = re.compile(
    r"(?P<star>[* ]) +(?P<time>\S+ \w+) +(?P<forward>\S+) +(?P<ideal>\S+) +(?P<memory>\S+ \w+) +"
    r"(?P<file>-|\S+ \w+) +(?P<written>\S+) +(?P<read>\S+)  (?P<family>\w+), .*"
)


def amount(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


def count(text):
    return 0 if text == "-" else int(text.replace(",", ""))


def printed(capsys, *arguments):
    assert cli.main([*ARGUMENTS, *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("more", [[], FILE], ids=["in memory", "with a file"])
def test_rows(more, capsys):
    text = printed(capsys, *more)
    rows = [found for line in text.splitlines() if (found := ROW.fullmatch(line))]
    answer = json.loads(printed(capsys, *more, "--json"))
    assert len(rows) == len(answer["plans"]) >= 1
    for row, plan in zip(rows, answer["plans"], strict=True):
        assert row["family"] == plan["family"]
        assert (row["star"] == "*") == plan["chosen"]
        assert amount(row["time"]) == pytest.approx(plan["predicted_seconds"], rel=0.01)
        assert float(row["forward"]) == pytest.approx(plan["over_forward"], abs=0.006)
        assert float(row["ideal"]) == pytest.approx(plan["over_ideal"], abs=0.006)
        assert amount(row["memory"]) == pytest.approx(plan["memory_bytes"], rel=0.05)
        file_bytes = 0 if row["file"] == "-" else amount(row["file"])
        assert file_bytes == pytest.approx(plan["file_bytes"], rel=0.05)
        assert count(row["written"]) == plan["states_written"]
        assert count(row["read"]) == plan["states_read"]


def test_the_keys_of_the_json(capsys):
    answer = json.loads(printed(capsys, *FILE, "--json"))
    assert set(answer) == set(KEYS.split())
    assert all(set(plan) == set(PLAN_KEYS.split()) for plan in answer["plans"])


def test_the_text_below_the_table(capsys):
    text = printed(capsys)
    answer = json.loads(printed(capsys, "--json"))
    chosen = next(plan for plan in answer["plans"] if plan["chosen"])
    assert f"* marks the plan chosen, {chosen['family']}: {chosen['reason']}." in text
    assert answer["everything_bytes"] == 5000 * 10**6
    assert "4.7 GiB of memory" in text
    assert "there is no file" in text


def test_assumed_costs_are_named(capsys):
    text = printed(capsys, "--disk=1 GB")
    assert "2.00 ms (--pull-back: twice a step)" in text
    assert "1.00 GB/s, 1.00 ms (assumed; --probe measures it)" in text
    assert set(json.loads(printed(capsys, "--disk=1 GB", "--json"))["notes"]) == {
        line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")
    }
