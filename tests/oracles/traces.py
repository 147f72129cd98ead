"""Traces of runs that never were: files in the trace-event format, written by hand."""

import json


def event(name, began, length, start=-1, stop=None, *, rank=0, transfer=False):
    """Return a complete event; times in seconds."""
    return {
        "name": name,
        "cat": "transfer" if transfer else "compute",
        "ph": "X",
        "ts": 1e6 * began,
        "dur": 1e6 * length,
        "pid": rank,
        "tid": int(transfer),
        "args": {"start": start, "stop": start if stop is None else stop},
    }


def write(path, events):
    """Write the events to a file, the ranks' names before them."""
    ranks = sorted({event["pid"] for event in events})
    names = [
        {"name": "process_name", "ph": "M", "pid": rank, "args": {"name": f"rank {rank}"}}
        for rank in ranks
    ]
    path.write_text(json.dumps({"traceEvents": [*names, *events], "displayTimeUnit": "ms"}))
    return path


def sweep(num_steps, rank=0):
    """Return the events of a run: every tenth state written, each step recorded on its own."""
    events, now = [], 0.0

    def add(name, length, start, stop=None):
        nonlocal now
        events.append(event(name, now, length, start, stop, rank=rank))
        now += length

    for step in range(0, num_steps - 1, 5):
        add("Advance", 5e-3, step, min(step + 5, num_steps - 1))
        if step % 10 == 0:
            events.append(event("Write", now, 4e-3, step, rank=rank, transfer=True))
    for step in reversed(range(num_steps)):
        if step % 10 == 0:
            add("Wait", 1e-4, step)
            events.append(event("Read", now, 2e-3, step, rank=rank, transfer=True))
        add("Record", 1e-3, step, step + 1)
        add("PullBack", 2e-3, step, step + 1)
    return events
