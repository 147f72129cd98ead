"""If one resource cannot be opened, those opened before it are closed: no file stays open."""

import os

import pytest
from pendulums import Pendulums

import adjoint
from adjoint.driver import memory, run_file
from adjoint.errors import SnapshotFileError
from adjoint.schedules import Asynchronous

SCHEDULE = Asynchronous(40, 4, 5)


def open_paths():
    folder = "/proc/self/fd"
    return [
        os.readlink(f"{folder}/{n}") for n in os.listdir(folder) if os.path.exists(f"{folder}/{n}")
    ]


def test_the_store_if_there_is_no_journal(tmp_path, monkeypatch):
    def refuse(placement):
        raise PermissionError("no journal today")

    path = tmp_path / "run.h5"
    monkeypatch.setattr(run_file, "JournalFile", refuse)
    with adjoint.Functional(Pendulums(3, 40), 40, schedule=SCHEDULE, file=path) as functional:
        with pytest.raises(SnapshotFileError, match="no journal today"):
            functional.value_and_gradient()
        assert str(path) not in open_paths()
        monkeypatch.undo()
        functional.value_and_gradient()


def test_store_and_journal_if_there_is_no_memory(tmp_path, monkeypatch):
    def refuse(layout, capacity):
        raise MemoryError

    path = tmp_path / "run.h5"
    monkeypatch.setattr(memory, "BlockPool", refuse)
    with adjoint.Functional(Pendulums(3, 40), 40, schedule=SCHEDULE, file=path) as functional:
        with pytest.raises(MemoryError):
            functional.value_and_gradient()
        assert str(path) not in open_paths()
