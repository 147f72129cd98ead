"""An engine is selected by the name under which it is registered; others are refused by name."""

import sys
from types import SimpleNamespace

import pytest

from adjoint import ArgumentError
from adjoint.storage.engines import RankFile, engine_names, register_engine
from adjoint.storage.engines.registry import ENGINES, candidate_names, require_engine

SERIAL, PARALLEL = SimpleNamespace(mpi=None), SimpleNamespace(mpi=object())


class Ranks:
    """A communicator, of an MPI whose module is this one."""


@pytest.fixture(autouse=True)
def registry():
    """Three of the registered engines; all of them are restored after the test."""
    known = dict(ENGINES)
    for name in set(known) - {"mpi", "direct", "thread"}:
        del ENGINES[name]
    yield
    ENGINES.clear()
    ENGINES.update(known)


def test_a_name_is_registered_once():
    with pytest.raises(ArgumentError, match="'thread' already"):
        register_engine("thread", RankFile)


def test_an_engine_that_needs_mpi_is_offered_only_with_it():
    register_engine("another", RankFile, needs_mpi=True)
    assert engine_names(SERIAL) == ("direct", "thread")
    assert engine_names(PARALLEL) == ("mpi", "direct", "thread", "another")
    with pytest.raises(ArgumentError, match="'another' needs comm="):
        require_engine("another", SERIAL)


@pytest.mark.parametrize(
    ("library", "safe"), [(("MPICH", (4, 0, 1)), True), (("MPICH", (3, 4, 3)), False)]
)
def test_mpi_io_is_a_candidate_only_where_it_survives_errors(library, safe, monkeypatch):
    wanted = ("mpi", "direct", "thread") if safe else ("direct", "thread")
    monkeypatch.setattr(sys.modules[__name__], "get_vendor", lambda: library, raising=False)
    assert candidate_names(SimpleNamespace(mpi=Ranks())) == wanted
    assert candidate_names(SERIAL) == ("direct", "thread")


@pytest.mark.parametrize("engine", ["carrier pigeon", "", 7])
def test_an_unknown_engine_is_refused_with_the_known_names(engine):
    with pytest.raises(ArgumentError, match='one of "direct", "thread", or pass a function'):
        require_engine(engine, SERIAL)


@pytest.mark.parametrize("engine", [None, "direct", "thread", lambda comm, placement: None])
def test_usable_engines_are_accepted(engine):
    require_engine(engine, SERIAL)
