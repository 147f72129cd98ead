"""If parts of index or journal cannot be read when a run is resumed, the others are used."""

import errno
import os

import h5py
import numpy as np
import pytest
from adaptive_pendulum import AdaptivePendulum
from byte_flips import NUM_STEPS, SOURCE, START, M, crash, resumed
from driven_ring import CrashError, DrivenRing, by_hand

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Multistage, Spilling
from adjoint.schedules.costs import Costs
from adjoint.storage import file_io
from adjoint.sweep import journal


@pytest.fixture(autouse=True)
def _records_and_exchanges_are_frequent(monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)


def fail_to_read(monkeypatch, extents, times=10**9):
    """Let the first reads in the extents fail with EIO."""
    left = [times]
    preadv = os.preadv

    def read(descriptor, buffers, offset):
        end = offset + sum(len(buffer) for buffer in buffers)
        if left[0] and any(offset < stop and start < end for start, stop in extents):
            left[0] -= 1
            raise OSError(errno.EIO, "Input/output error")
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(file_io.os, "preadv", read)


def extents_of(path):
    """Return the index, and each record of the journal, the latest first."""
    with h5py.File(path, "r") as file:
        index = file["index"].id.get_offset(), file["index"].nbytes
        start, half = file["journal"].id.get_offset(), file["journal"].shape[1]
        numbers = file["journal"][:, 8:16].copy().view("<u8")[:, 0]
    records = [(start + k * half, start + (k + 1) * half) for k in np.argsort(numbers)[::-1]]
    return [(index[0], sum(index))], records


@pytest.mark.parametrize("at", [20, 45])
@pytest.mark.parametrize("times", [1, 2, 3, 5, 10**9])
@pytest.mark.parametrize("part", ["index", "latest", "other", "arrays", "records"])
def test_the_gradient_is_right(part, times, at, tmp_path, monkeypatch):
    crash(path := tmp_path / "run.h5", at)
    index, (latest, other) = extents_of(path)
    arrays = (latest[0] + 4096, latest[1])
    extents = {"index": index, "records": [latest, other], "arrays": [arrays]}
    fail_to_read(monkeypatch, extents.get(part, [latest if part == "latest" else other]), times)
    result = resumed(path)
    cost, gradient = by_hand(START, M, SOURCE, NUM_STEPS)
    np.testing.assert_allclose(result.cost, cost, rtol=1e-12)
    np.testing.assert_allclose(result.gradient["m"], gradient, rtol=1e-11)
    if part in {"latest", "other", "arrays"}:
        assert result.report.resumed_from


def unevenly_spaced(path, **options):
    """Run with a file whose shortest stretch between states is not the first."""
    at = options.pop("at", None)
    schedule = Multistage(NUM_STEPS, 2, 4)
    return adjoint.gradient(
        DrivenRing(START, M, SOURCE, at=at), NUM_STEPS, schedule=schedule, file=path, **options
    )


@pytest.mark.parametrize("at", [28, 45])
@pytest.mark.parametrize("row", [0, 1, 2, 3, slice(None)])
def test_states_that_cannot_be_read_are_computed_again(row, at, tmp_path, monkeypatch):
    with pytest.raises(CrashError):
        unevenly_spaced(path := tmp_path / "run.h5", at=at)
    with h5py.File(path, "r") as file:
        rows = file["snapshots"]
        starts = rows.id.get_offset() + rows.shape[1] * np.arange(len(rows))[row]
        extents = [(start, start + rows.shape[1]) for start in np.atleast_1d(starts).tolist()]
    fail_to_read(monkeypatch, extents)
    result = unevenly_spaced(path, resume=True)
    cost, gradient = by_hand(START, M, SOURCE, NUM_STEPS)
    np.testing.assert_allclose(result.cost, cost, rtol=1e-12)
    np.testing.assert_allclose(result.gradient["m"], gradient, rtol=1e-11)


class Crashing(AdaptivePendulum):
    at = None
    taken_steps = 0

    def step(self, k):
        self.taken_steps += 1
        if self.taken_steps == self.at:
            raise CrashError
        super().step(k)


@pytest.mark.parametrize("step", [0, 5, 11])
def test_damaged_accepted_steps_are_not_used(step, tmp_path):
    costs = Costs(advance=1.0, pull_back=1.0, write=2.0, read=2.0)
    schedule = Spilling(None, 3, 3.0, costs=costs, max_file_states=8)
    options = {"schedule": schedule, "max_lost_share": 1e-6}
    reference = tmp_path / "reference.h5"
    expected = adjoint.gradient(AdaptivePendulum(), None, schedule=schedule, file=reference)
    stepper = Crashing()
    stepper.at = 30
    path = tmp_path / "run.h5"
    with pytest.raises(CrashError):
        adjoint.gradient(stepper, None, file=path, **options)
    with h5py.File(path, "r+") as file:
        row = file["steps"][step]
        row["length"] *= 1.5
        file["steps"][step] = row
    result = adjoint.gradient(Crashing(), None, file=path, resume=True, **options)
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)
