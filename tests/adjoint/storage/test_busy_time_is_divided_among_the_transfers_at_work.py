"""Busy seconds of writes and reads are up to date during transfers and add up to the total."""

from types import SimpleNamespace

import pytest

from adjoint.storage.engines import transfer
from adjoint.storage.engines.transfer import Meter


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(transfer, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def seconds(meter):
    figures = meter.read()
    return figures.write_seconds, figures.read_seconds, figures.transfer_seconds


def test_a_write_under_way_counts(clock):
    meter = Meter()
    clock.now = 101.0
    meter.begin("write")
    clock.now = 103.0
    assert seconds(meter) == (2.0, 0.0, 2.0)
    clock.now = 104.0
    meter.end("write", 104.0)
    clock.now = 200.0
    assert seconds(meter) == (3.0, 0.0, 3.0)


def test_two_writes_at_once_are_as_busy_as_one(clock):
    meter = Meter()
    meter.begin("write")
    meter.begin("write")
    clock.now = 102.0
    meter.end("write", 102.0)
    meter.end("write", 102.0)
    assert seconds(meter) == (2.0, 0.0, 2.0)


def test_a_write_and_two_reads_share_the_time(clock):
    meter = Meter()
    meter.begin("read")
    clock.now = 101.0
    meter.begin("write")
    meter.begin("read")
    clock.now = 104.0
    assert seconds(meter) == (1.0, 1.0 + 2.0, 4.0)


def test_an_end_reported_late_counts_when_it_happened(clock):
    meter = Meter()
    meter.begin("write")
    clock.now = 110.0
    meter.end("write", 104.0)
    assert seconds(meter) == (4.0, 0.0, 4.0)


def test_time_already_reported_stays_as_it_is(clock):
    meter = Meter()
    meter.begin("write")
    clock.now = 106.0
    assert seconds(meter) == (6.0, 0.0, 6.0)
    clock.now = 110.0
    meter.end("write", 104.0)
    assert seconds(meter) == (6.0, 0.0, 6.0)


def test_statistics_are_a_copy(clock):
    meter = Meter()
    before = meter.read()
    meter.posted("write", 0.5)
    meter.over("write", 7)
    after = meter.read()
    assert (before.writes_posted, before.writes_done, before.bytes_written) == (0, 0, 0)
    assert (after.writes_posted, after.writes_done, after.bytes_written) == (1, 1, 7)
    assert after.post_seconds == 0.5
