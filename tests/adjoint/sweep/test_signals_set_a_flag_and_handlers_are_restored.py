"""SIGUSR1 and SIGTERM set a flag while watched; the handlers from before are restored."""

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
def test_a_signal_sets_the_flag(number):
    with SignalWatch() as watch:
        assert not watch.requested
        os.kill(os.getpid(), number)
        assert watch.requested
        # A second one is not caught: it ends the process.
        assert signal.getsignal(number) == signal.SIG_DFL
    assert all(signal.getsignal(n) == signal.SIG_DFL for n in SIGNALS)


def test_a_handler_of_the_program_is_left_in_place():
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    with SignalWatch() as watch:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert seen == [signal.SIGUSR1]
    assert not watch.requested


def test_outside_the_main_thread_nothing_is_watched():
    found = []

    def enter():
        with SignalWatch() as watch:
            found.append(watch.requested)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]
