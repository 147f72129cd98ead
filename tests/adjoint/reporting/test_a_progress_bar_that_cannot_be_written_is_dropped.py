"""Whatever happens to standard error, a progress bar costs no gradient and raises nothing."""

import io
import os
import sys

import pytest
from pendulums import Pendulums

import adjoint
from adjoint.reporting.progress import Bar

NUM_STEPS = 80


class Breaking(io.StringIO):
    """A stream that fails from write number `last` on."""

    def __init__(self, error, last):
        super().__init__()
        self.error, self.writes, self.last = error, 0, last

    def write(self, text):
        self.writes += 1
        if self.writes > self.last:
            raise self.error
        return super().write(text)


class BreakingOnFlush(Breaking):
    def write(self, text):
        return io.StringIO.write(self, text)

    def flush(self):
        Breaking.write(self, "")


@pytest.fixture
def expected():
    return adjoint.gradient(Pendulums(2, NUM_STEPS), NUM_STEPS).cost


def cost():
    return adjoint.gradient(Pendulums(2, NUM_STEPS), NUM_STEPS, progress=True).cost


@pytest.fixture(autouse=True)
def _draw_always(monkeypatch):
    draw = Bar.__init__
    monkeypatch.setattr(Bar, "__init__", lambda self, **o: draw(self, mininterval=0, **o))


@pytest.mark.parametrize("last", [0, 1, 3])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), BrokenPipeError(32, "pipe"), ValueError()]
)
@pytest.mark.parametrize("kind", [Breaking, BreakingOnFlush])
def test_a_stream_that_fails(monkeypatch, expected, kind, error, last):
    stream = kind(error, last)
    monkeypatch.setattr(sys, "stderr", stream)
    assert cost() == expected
    assert stream.writes == last + 1  # none after it has failed


def test_no_stream(monkeypatch, expected):
    monkeypatch.setattr(sys, "stderr", None)
    assert cost() == expected


def test_a_full_disk(monkeypatch, expected):
    # Unbuffered, or closing it would raise again.
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(full, write_through=True))
        assert cost() == expected
        sys.stderr.detach()


def test_a_sound_stream_shows_all_steps(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    cost()
    assert f"{2 * NUM_STEPS}/{2 * NUM_STEPS}" in stream.getvalue()
    assert os.linesep in stream.getvalue()
