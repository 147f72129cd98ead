"""SIGUSR1 and SIGTERM set a flag while watched; the handlers from before are restored.

A signal that nobody has honoured when the watch is left ends the process, as it would without one.
"""

import os
import signal
import subprocess
import sys
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
    watch = SignalWatch()
    with watch.under_way, watch:
        assert not watch.requested
        os.kill(os.getpid(), number)
        assert watch.requested
        # A second one is not caught: it ends the process.
        assert signal.getsignal(number) == signal.SIG_DFL
        watch.honoured()
    assert all(signal.getsignal(n) == signal.SIG_DFL for n in SIGNALS)


def test_a_handler_of_the_program_is_left_in_place():
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    watch = SignalWatch()
    with watch.under_way, watch:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert seen == [signal.SIGUSR1]
    assert not watch.requested


def test_handlers_that_an_interruption_has_left_do_what_the_default_does():
    left = "with watch.under_way: watch.__enter__()\n    os.kill(os.getpid(), signal.SIGTERM)"
    code, output = run_program(PROGRAM.partition("    with")[0] + f"    {left}\nfinally: pass")
    assert (code, output) == (-signal.SIGTERM, [])


def test_a_watch_takes_the_place_of_such_handlers():
    first, second = SignalWatch(), SignalWatch()
    with first.under_way:
        first.__enter__()
    with second.under_way, second:
        os.kill(os.getpid(), signal.SIGTERM)
        assert second.requested
        second.honoured()
    assert not first.requested


def test_outside_the_main_thread_nothing_is_watched():
    found = []

    def enter():
        watch = SignalWatch()
        with watch.under_way, watch:
            found.append(watch.requested)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]


PROGRAM = """
import os, signal, sys
from adjoint.sweep.signals import SignalWatch

try:
    watch = SignalWatch()
    with watch.under_way, watch:
        {meanwhile}
    print("left the watch")
finally:
    print("left")
"""

SENT = "os.kill(os.getpid(), signal.SIGUSR1); print('requested', watch.requested, flush=True)"

FORKED = """
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), watch.requested)
"""


def run(meanwhile):
    return run_program(PROGRAM.format(meanwhile=meanwhile))


def run_program(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("leave", ["", "; sys.exit(3)"], ids=["at the end", "by an exception"])
def test_a_signal_that_nobody_has_honoured_ends_the_process(leave):
    assert run(SENT + leave) == (-signal.SIGUSR1, ["requested True"])


def test_a_signal_that_was_honoured_is_not_sent_again():
    code, output = run(SENT + "; watch.honoured()")
    assert (code, output) == (0, ["requested True", "left the watch", "left"])


def test_a_forked_child_ends_by_its_first_signal():
    code, output = run(FORKED)
    assert (code, output) == (0, [f"{-signal.SIGTERM} False", "left the watch", "left"])
