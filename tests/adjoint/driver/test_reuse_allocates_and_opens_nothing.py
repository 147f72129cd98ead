"""A second evaluation allocates no buffer and opens no file; a value writes nothing."""

import os

import pytest
from pendulums import Pendulums

import adjoint
from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs
from adjoint.storage import blocks

NUM_STEPS = 300

SCHEDULE = Spilling(NUM_STEPS, 5, 9.0, costs=Costs(advance=1.0, pull_back=2.0, write=6.0, read=6.0))


@pytest.fixture
def counted(monkeypatch):
    """What is allocated and opened, by name."""
    done = []
    allocate, opened = blocks._pages, os.open

    def pages(count):
        done.append(("pages", count))
        return allocate(count)

    def noting(path, *arguments, **options):
        done.append(("open", str(path)))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(blocks, "_pages", pages)
    monkeypatch.setattr(os, "open", noting)
    return done


@pytest.mark.parametrize("name", ["run.h5", "."])
def test_the_second_gradient(name, counted, tmp_path):
    with adjoint.Functional(
        Pendulums(50, NUM_STEPS), NUM_STEPS, schedule=SCHEDULE, file=tmp_path / name
    ) as functional:
        first = functional.value_and_gradient()
        assert any(what == "pages" for what, _ in counted)
        assert any(what == "open" for what, _ in counted)
        counted.clear()
        assert functional.value_and_gradient()[0] == first[0]
        assert counted == []


def test_a_value(counted, tmp_path):
    with adjoint.Functional(
        Pendulums(50, NUM_STEPS), NUM_STEPS, schedule=SCHEDULE, file=tmp_path / "run.h5"
    ) as functional:
        functional.value()
        assert counted == []
        assert not (tmp_path / "run.h5").exists()
        functional.value_and_gradient()
        before = (tmp_path / "run.h5").read_bytes()
        counted.clear()
        functional.value()
        assert counted == []
        assert (tmp_path / "run.h5").read_bytes() == before
