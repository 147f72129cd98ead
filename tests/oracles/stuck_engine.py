"""An engine one of whose transfers never ends, as if the kernel did not return from a call.

`Stuck` opens it; it is given wherever an engine is chosen: ``engine=Stuck(write=3)``. By default it
is the transfer thread that is stuck; with ``in_thread=False`` it is an engine of another kind,
which moves states inside the call, but for that one. `release` lets stuck threads return after all.
"""

import threading
from dataclasses import dataclass

from adjoint.storage.engines.base import Request, RowEngine
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.engines.transfer import Transfer

__all__ = ["Stuck", "release"]

_released: list[threading.Event] = []


def release() -> None:
    """Let every call that is stuck return."""
    while _released:
        _released.pop().set()


@dataclass(frozen=True)
class Stuck:
    """Opens engines of which one write or read, numbered from 1, does not end."""

    write: int = 0
    read: int = 0
    in_thread: bool = True
    rank: int = 0

    def __call__(self, comm, placement) -> RowEngine:
        numbers = (self.write, self.read) if comm.rank == self.rank else (0, 0)
        if not self.in_thread:
            return _InCall(RankFile(placement), *numbers)
        file = RankFile(placement)
        file.write = _stuck_at(numbers[0], file.write)
        file.read = _stuck_at(numbers[1], file.read)
        return ThreadEngine(file)


def _stuck_at(number, move):
    event, count = threading.Event(), 0
    _released.append(event)

    def moved(row, block):
        nonlocal count
        count += 1
        if count == number:
            event.wait()
        move(row, block)

    return moved


class _InCall(RowEngine):
    name = "calls that block"

    def __init__(self, file, write, read):
        super().__init__(file)
        self.left = {"write": write, "read": read}

    def _post(self, request: Request) -> Transfer:
        transfer = _Moved(*request.identity, self._meter.figures)
        self.left[request.what] -= 1
        if self.left[request.what] != 0:
            self._carry_out(request, transfer)
            transfer.done = True
        return transfer

    def _release(self) -> None:
        self._file.close()


class _Moved(Transfer):
    done = False

    def _pause(self, seconds: float) -> None:
        pass
