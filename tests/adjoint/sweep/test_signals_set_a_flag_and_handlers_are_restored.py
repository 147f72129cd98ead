"""SIGUSR1 and SIGTERM are noted while a sweep runs; what was there before is there afterwards."""

import os
import signal
import threading

import pytest

from adjoint.sweep.signals import SIGNALS, SignalWatch


@pytest.fixture(autouse=True)
def _as_before():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_it_is_noted(number):
    with SignalWatch() as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), number)
        assert interruption.requested
        # A second one is not caught: whoever sends it means it.
        assert signal.getsignal(number) == signal.SIG_DFL
    assert all(signal.getsignal(n) == signal.SIG_DFL for n in SIGNALS)


def test_a_handler_of_the_programs_own_is_left_alone():
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    with SignalWatch() as interruption:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert seen == [signal.SIGUSR1]
    assert not interruption.requested


def test_other_threads_do_without():
    found = []

    def enter():
        with SignalWatch() as interruption:
            found.append(interruption.requested)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]
