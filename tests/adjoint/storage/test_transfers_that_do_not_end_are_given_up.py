"""A transfer is given up after its deadline, in which only time counts when the process ran.

What it may still use, its block and its row, is never used again; nobody waits for it, at close
neither.
"""

import errno
import logging
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from stuck_engine import Stuck, release

from adjoint.errors import ArgumentError, TransferError
from adjoint.parallel import communicator
from adjoint.storage import open_store
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines import deadline
from adjoint.storage.engines.transfer import Statistics, Transfer
from adjoint.storage.file_format import FileSpec
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(700)})
ROWS = 6


class Endless(Transfer):
    done = False

    def _pause(self, seconds):
        pass


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=500.0)
    look = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(deadline, "time", look)
    return clock


def watched(nbytes=1000, given=None):
    overdue = []
    watch = deadline.Watch(nbytes, 3, overdue.append)
    watch.given = given
    return watch, overdue


def add(watch, step=0):
    transfer = Endless("write", 0, step, 0, Statistics())
    watch.add(transfer, SimpleNamespace(is_lost=False))
    return transfer


def after(watch, clock, seconds, every=0.5):
    for _ in range(round(seconds / every)):
        clock.now += every
        watch.poll()


def test_the_deadline_is_the_longest_of_three(clock):
    assert watched()[0].deadline == 60
    assert watched(nbytes=4_000_000_000)[0].deadline == 400
    watch, _ = watched()
    slow = add(watch)
    after(watch, clock, 7)
    slow.done = True
    watch.poll()
    assert watch.deadline == 350
    watch.given = 2.5
    assert watch.deadline == 2.5


def test_a_transfer_is_overdue_after_the_deadline(clock):
    watch, overdue = watched()
    add(watch)
    after(watch, clock, 60)
    assert not overdue
    after(watch, clock, 0.5)
    assert overdue == [60.5]


def test_time_in_which_the_process_was_stopped_does_not_count(clock):
    watch, overdue = watched()
    add(watch)
    after(watch, clock, 59 * 3600, every=3600)  # 59 polls, an hour between them
    assert not overdue
    after(watch, clock, 2)
    assert overdue


def test_those_behind_another_are_given_their_own_time(clock):
    watch, overdue = watched(given=10)
    first, second = add(watch), add(watch)
    after(watch, clock, 9)
    first.done = True
    after(watch, clock, 10)
    assert not overdue
    second.done = True
    watch.poll()
    clock.now += 30
    add(watch)
    after(watch, clock, 10)
    assert not overdue


def test_one_line_is_logged_at_a_tenth(clock, caplog):
    watch, _ = watched(given=100)
    add(watch, step=12)
    with caplog.at_level(logging.WARNING, "adjoint"):
        after(watch, clock, 10)
        assert not caplog.messages
        after(watch, clock, 40)
    assert len(caplog.messages) == 1
    assert "the write of state 12 on rank 3 has taken 10.5 s" in caplog.messages[0]


@pytest.mark.parametrize("text", ["0", "-3", "soon", "nan"])
def test_a_deadline_is_a_positive_number(text, monkeypatch):
    monkeypatch.setenv(deadline.VARIABLE, text)
    with pytest.raises(ArgumentError, match=f"{deadline.VARIABLE}='{text}'"):
        deadline.parse_deadline(None)
    assert deadline.parse_deadline(4) == 4
    monkeypatch.setenv(deadline.VARIABLE, "2.5")
    assert deadline.parse_deadline(None) == 2.5
    assert deadline.parse_deadline(7) == 7


# -- with a thread that is stuck ------------------------------------------------------------------


@pytest.fixture
def open_stuck(tmp_path):
    stores = []

    def opened(**stuck):
        store = open_store(
            tmp_path / "run.h5",
            communicator(None),
            FileSpec(LAYOUT, ""),
            ROWS,
            engine=Stuck(**stuck),
            deadline=0.05,
        )
        stores.append(store)
        return store

    yield opened
    for store in stores:
        store.close()
    release()


def test_the_wait_ends_and_what_comes_later_is_refused(open_stuck):
    store, pool = open_stuck(write=2), BlockPool(LAYOUT, 4)
    blocks = [pool.take() for _ in range(4)]
    for step, block in enumerate(blocks[:3]):
        store.offload(step, block)
    store.wait(0)
    for step in (1, 2):
        with pytest.raises(TransferError, match="write of state 1 on rank 0 had not ended") as got:
            store.wait(step)
        assert got.value.errno == errno.ETIMEDOUT
    store.offload(3, blocks[3])
    with pytest.raises(TransferError, match="is not used any more"):
        store.wait(3)
    assert store.failed_writes().numbers == [2, 3, 4]
    assert store.stalled == 1


def test_its_block_and_its_row_are_never_used_again(open_stuck):
    store, pool = open_stuck(write=1), BlockPool(LAYOUT, 2)
    lost, other = pool.take(), pool.take()
    store.offload(0, lost)
    with pytest.raises(TransferError):
        store.wait(0)
    for block in (lost, other):
        pool.give_back(block)
    assert all(block is not lost for block in (pool.take(), pool.take()))
    store.close()
    again = open_stuck()
    steps = range(again.file.usable_rows)
    assert len(steps) == ROWS - 1
    for step in steps:
        again.offload(step, pool_block := BlockPool(LAYOUT, 1).take())
        again.wait(step)
        assert not pool_block.is_lost
    assert not again.file.has_room


def test_a_late_end_changes_nothing(open_stuck):
    store = open_stuck(write=1)
    block = BlockPool(LAYOUT, 1).take()
    store.offload(0, block)
    with pytest.raises(TransferError):
        store.wait(0)
    figures = store.statistics
    store.close()
    release()
    assert store.statistics == figures
    assert block.is_lost


def test_a_process_that_cannot_end_is_ended():
    program = (
        "import atexit, signal; from adjoint.storage.engines import deadline; "
        "deadline.EXIT_SECONDS = 1; atexit.register(signal.pause); "
        "atexit.register(deadline.end_soon); print('all is said')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, b"all is said\n")
