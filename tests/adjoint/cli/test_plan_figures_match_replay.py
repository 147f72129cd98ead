"""Time, memory, file and states moved in each row are those of `replay` for its schedule."""

import json

import pytest

from adjoint import cli, schedules
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

STATE = 1 << 20
ARGUMENTS = ["plan", "--steps=600", "--state=1 MiB", "--memory=24 MiB", "--step=1", "--json"]
WITHOUT_FILE = Costs(advance=1.0, pull_back=2.0)
WITH_FILE = Costs(advance=1.0, pull_back=2.0, write=0.5, read=0.25, slowdown=1.2)
FILE = ["--disk=1 GB", f"--write={2 * STATE}/s", f"--read={4 * STATE}/s", "--slowdown=1.2"]


def plans(capsys, *more):
    assert cli.main([*ARGUMENTS, *more]) == 0
    return json.loads(capsys.readouterr().out)["plans"]


def check(plan, costs):
    schedule = eval(plan["schedule"], {"Costs": Costs, **vars(schedules)})
    played = price(schedule, costs, tape_slots=schedule.tape_slots)
    assert plan["predicted_seconds"] == pytest.approx(played.makespan, rel=0.08)
    assert plan["over_forward"] == pytest.approx(played.makespan / 600, rel=0.08)
    assert plan["over_ideal"] == pytest.approx(played.makespan / (599 + 1200), rel=0.08)
    leaf = schedule.leaf_steps
    assert plan["memory_bytes"] == (played.peak_units + leaf - 1) * STATE <= 24 * STATE
    assert plan["file_bytes"] == played.peak_file_states * STATE
    assert (plan["states_written"], plan["states_read"]) == (played.writes, played.reads)


def test_in_memory(capsys):
    found = plans(capsys)
    assert found
    for plan in found:
        check(plan, WITHOUT_FILE)
        assert not plan["file_bytes"]


def test_with_a_file(capsys):
    found = plans(capsys, *FILE)
    assert any(plan["file_bytes"] for plan in found)
    for plan in found:
        check(plan, WITH_FILE)


def test_with_prescribed_leaves(capsys):
    found = plans(capsys, *FILE, "--leaf=6")
    for plan in found:
        assert plan["leaf_steps"] == 6
        check(plan, WITH_FILE)


def test_the_fastest_is_first_and_one_is_chosen(capsys):
    found = plans(capsys, *FILE)
    seconds = [plan["predicted_seconds"] for plan in found]
    assert seconds == sorted(seconds)
    assert len({plan["family"] for plan in found}) == len(found)
    assert sum(plan["chosen"] for plan in found) == 1


def test_keeping_every_state_takes_the_ideal_time(capsys):
    found = plans(capsys, "--memory=600 MiB")
    assert min(plan["over_ideal"] for plan in found) == pytest.approx(1, rel=1e-3)
