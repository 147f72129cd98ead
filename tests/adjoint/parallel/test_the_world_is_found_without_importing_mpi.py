"""The number of ranks is what MPI says where it is loaded, else what the launcher says."""

import sys
import types

import pytest

from adjoint.parallel.launcher import WORLD_SIZES, world_size


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    for name in WORLD_SIZES:
        monkeypatch.delenv(name, raising=False)


def test_one_process():
    assert world_size() == 1


@pytest.mark.parametrize("name", WORLD_SIZES)
@pytest.mark.parametrize(("text", "size"), [("6", 6), ("1", 1), ("", 1), ("2(x3)", 1)])
def test_a_launcher(monkeypatch, name, text, size):
    monkeypatch.setenv(name, text)
    assert world_size() == size
    assert "mpi4py.MPI" not in sys.modules


@pytest.mark.parametrize(
    ("is_initialized", "is_finalized", "size"),
    [(True, False, 3), (False, False, 7), (True, True, 7)],
)
def test_mpi_while_it_runs(monkeypatch, is_initialized, is_finalized, size):
    mpi = types.SimpleNamespace(
        Is_initialized=lambda: is_initialized,
        Is_finalized=lambda: is_finalized,
        COMM_WORLD=types.SimpleNamespace(Get_size=lambda: 3),
    )
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", mpi)
    monkeypatch.setenv("PMI_SIZE", "7")
    assert world_size() == size
