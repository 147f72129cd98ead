"""A search killed at any size of its log, with bytes torn off, against one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import logged_search
import numpy as np
import pytest
from inverse_problems import NUM_STEPS, Reaction, observed_reaction

import adjoint
from adjoint import inverse
from adjoint.errors import ArgumentError
from adjoint.inverse import EvaluationLog
from adjoint.inverse.evaluation_log import Record, key_of

HEADER = {"stepper": "a", "numpy": "1"}
METHODS = ("L-BFGS-B", "BFGS", "CG", "TNC", "SLSQP")


def search(method, folder, **variables):
    """Run the search in a process of its own; return how it ended."""
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), str(root / "tests" / "oracles")])
    return subprocess.run(
        [sys.executable, logged_search.__file__, method, folder / "log", folder / "found.npz"],
        env={**os.environ, "PYTHONPATH": path, **variables},
        check=False,
        timeout=200,
    ).returncode


def bits(path):
    """Return what was found, and how many evaluations were replayed."""
    with np.load(path) as found:
        values = {name: found[name].tobytes() for name in found.files if name != "replayed"}
        return values, int(found["replayed"])


@pytest.mark.parametrize("method", METHODS[:2])
def test_killed_twice(method, tmp_path, rng):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert search(method, whole) == 0
    size = (whole / "log").stat().st_size
    for at in sorted(rng.integers(300, size, 2)):
        assert search(method, killed, KILL_AT=str(at)) == -signal.SIGKILL
        with (killed / "log").open("r+b") as log:
            log.truncate((killed / "log").stat().st_size - int(rng.integers(0, 60)))
    assert search(method, killed) == 0
    expected, none = bits(whole / "found.npz")
    found, replayed = bits(killed / "found.npz")
    assert found == expected
    assert none == 0
    assert replayed > 0
    assert (killed / "log").read_bytes() == (whole / "log").read_bytes()


def test_every_method_is_replayed_and_goes_on(tmp_path):
    for method in METHODS:
        log = tmp_path / method
        first = logged_search.run(method, log)
        again = logged_search.run(method, log)
        assert again.replayed == len(again.history) == len(first.history)
        assert again.x.tobytes() == first.x.tobytes()


def test_another_search_is_refused(tmp_path):
    log = tmp_path / "log"
    logged_search.run("L-BFGS-B", log)
    with pytest.raises(ArgumentError, match="evaluation 2 of this search is not the one in"):
        logged_search.run("CG", log)


class Scaled(Reaction):
    """A cost that depends on a number, which no fingerprint shows."""

    factor = 1.0

    def terminal_cost(self, state):
        return self.factor * super().terminal_cost(state)

    def terminal_cost_vjp(self, state, adjoint, gradient):
        super().terminal_cost_vjp(state, adjoint, gradient)
        adjoint["u"] *= self.factor


def scaled_search(log, factor, iterations, *, reproducible=True):
    stepper = Scaled(observed_reaction().data)
    stepper.factor, stepper.reproducible = factor, reproducible
    with (
        adjoint.Functional(stepper, NUM_STEPS, memory="1 MiB") as functional,
        inverse.Inversion(functional, [inverse.Unknown("m")], log=EvaluationLog(log)) as inversion,
    ):
        return inversion.minimise("L-BFGS-B", max_iterations=iterations)


@pytest.mark.parametrize("iterations", [3, 6], ids=["answered whole", "gone on with"])
def test_a_log_of_another_cost_is_refused_and_left_as_it_is(tmp_path, iterations):
    log = tmp_path / "log"
    scaled_search(log, 1.0, 3)
    before = log.read_bytes()
    with pytest.raises(ArgumentError, match="has other bits than the same one computed now"):
        scaled_search(log, 2.0, iterations)
    assert log.read_bytes() == before
    assert scaled_search(log, 1.0, iterations).replayed > 0


def test_of_a_stepper_that_is_not_reproducible_nothing_is_compared(tmp_path):
    first = scaled_search(tmp_path / "log", 1.0, 3, reproducible=False)
    again = scaled_search(tmp_path / "log", 2.0, 3, reproducible=False)
    assert again.x.tobytes() == first.x.tobytes()


def written(path, count=3):
    """Write a log with some records; return them."""
    records = [Record("gradient", key_of(np.array([k])), np.arange(k + 2.0)) for k in range(count)]
    with EvaluationLog(path) as log:
        log.open(HEADER)
        for record in records:
            log.add(record)
    return records


def read(path):
    """Return the records of a log."""
    with EvaluationLog(path) as log:
        log.open(HEADER)
        return list(log._records)


def same(some, others):
    return [record.body() for record in some] == [record.body() for record in others]


def test_wherever_it_is_torn_no_whole_record_is_lost(tmp_path):
    path = tmp_path / "log"
    records = written(path)
    content = path.read_bytes()
    ends = [
        len(content) - sum(26 + 16 + 8 * len(record.values) for record in records[k:])
        for k in range(len(records) + 1)
    ]
    assert ends[0] == content.index(b"}\n") + 2
    for size in range(len(content)):
        path.write_bytes(content[:size])
        whole = sum(end <= size for end in ends[1:])
        assert same(read(path), records[:whole])


def test_a_flipped_byte_ends_the_log_before_its_record(tmp_path):
    path = tmp_path / "log"
    records = written(path)
    content = path.read_bytes()
    first = content.index(b"}\n") + 2
    for at in range(first, len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        found = read(path)
        assert len(found) < len(records)
        assert same(found, records[: len(found)])


def test_a_search_goes_on_behind_the_tear(tmp_path):
    path = tmp_path / "log"
    records = written(path)
    path.write_bytes(path.read_bytes()[:-5])
    with EvaluationLog(path) as log:
        log.open(HEADER)
        assert log.answer("gradient", records[0].key) is not None
        assert log.answer("gradient", records[1].key) is not None
        assert log.answer("gradient", records[2].key) is None
        log.add(records[2])
    assert same(read(path), records)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"something else that is long enough", "is not an evaluation log"),
        (
            b'adjoint evaluation log 1\n{"stepper": "b", "numpy": "1"}\n',
            "its stepper is b, here it",
        ),
        (b"adjoint evaluation log 1\nnothing\n", "damaged header"),
    ],
)
def test_another_file_is_refused_and_stays(tmp_path, content, why):
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match=why), EvaluationLog(path) as log:
        log.open(HEADER)
    assert path.read_bytes() == content


def test_a_log_in_use_is_refused(tmp_path):
    with EvaluationLog(tmp_path / "log") as log, EvaluationLog(tmp_path / "log") as other:
        log.open(HEADER)
        with pytest.raises(ArgumentError, match="in use by another search"):
            other.open(HEADER)
