"""How much work a function is: counted, so that no timing is asserted."""

import sys


def call_count(function):
    """Return the calls made in it, of Python's and built-in functions, generators resumed too."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        if event in {"call", "c_call"}:
            count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count
