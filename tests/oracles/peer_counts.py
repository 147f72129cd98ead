"""Steps and transfers of a schedule of the package checkpoint_schedules, counted by action."""

from typing import NamedTuple


class Counts(NamedTuple):
    forwards: int
    """Steps taken forward, including those that are taped."""
    advances: int
    """Steps taken forward without a tape."""
    transfers: int
    """States written to disk and read from disk."""


def counted(schedule):
    """Return the counts of a whole schedule; the last action is its EndReverse."""
    forwards = advances = transfers = 0
    for action in schedule:
        kind = type(action).__name__
        if kind == "EndReverse":
            break
        if kind == "EndForward" and schedule.max_n is None:
            schedule.finalize(schedule.n)
        if kind == "Forward":
            forwards += len(action)
            advances += 0 if action.write_adj_deps else len(action)
            transfers += action.write_ics and action.storage.name == "DISK"
        elif kind in {"Copy", "Move"}:
            transfers += action.from_storage.name == "DISK"
    return Counts(int(forwards), int(advances), int(transfers))
