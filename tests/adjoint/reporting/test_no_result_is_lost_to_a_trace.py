"""A trace that cannot be written is refused before the run; one that fails later costs nothing."""

import errno
import json
import logging
import os
import sys

import pytest
from pendulums import Pendulums

import adjoint
from adjoint.errors import ArgumentError
from adjoint.schedules import Revolve

SCHEDULE = Revolve(30, 5)


class Counting(Pendulums):
    """Pendulums that count the calls that start them."""

    started = 0

    def start(self):
        self.started += 1
        super().start()


@pytest.mark.parametrize("place", ["missing/run.json", "", "under/run.json"])
def test_refused_before_the_run(tmp_path, place):
    (tmp_path / "under").write_text("no folder")
    stepper = Counting(3, 30)
    with pytest.raises(ArgumentError, match="cannot be written"):
        adjoint.gradient(stepper, 30, schedule=SCHEDULE, trace=tmp_path / place)
    assert not stepper.started


def test_file_and_trace_are_two_files(tmp_path):
    path = tmp_path / "run.h5"
    with pytest.raises(ArgumentError, match="both name"):
        adjoint.gradient(Pendulums(3, 30), 30, schedule=SCHEDULE, file=path, trace=path)


def test_the_check_leaves_files_as_they_were(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("a trace")
    for path in (old, new):
        with adjoint.Functional(Pendulums(3, 30), 30, schedule=SCHEDULE, trace=path):
            pass
    assert old.read_text() == "a trace"
    assert not new.exists()


def test_a_disk_that_is_full_at_the_end_costs_no_gradient(tmp_path, monkeypatch, caplog):
    def fail(*given):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(json, "dump", fail)
    with caplog.at_level(logging.WARNING, "adjoint"):
        result = adjoint.gradient(
            Pendulums(3, 30), 30, schedule=SCHEDULE, trace=tmp_path / "run.json"
        )
    expected = adjoint.gradient(Pendulums(3, 30), 30, schedule=SCHEDULE)
    assert result.cost == expected.cost
    assert "no space left" in caplog.text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason=f"no /dev/full on {sys.platform}")
def test_a_device_that_is_full_costs_no_gradient(caplog):
    with caplog.at_level(logging.WARNING, "adjoint"):
        adjoint.gradient(Pendulums(3, 30), 30, schedule=SCHEDULE, trace="/dev/full")
    assert "is not complete" in caplog.text
