"""Event times of a processor and a channel that work in parallel, computed exactly.

The processor computes one thing after another. The channel carries one state at a time, to the file
or from it, in the order in which transfers were posted, and never idles while one is posted. So
once it is busy it stays busy until the last posted transfer is done, and all times follow without a
time step. While the channel is busy the processor computes slower, by the factor for writes or for
reads, according to the transfer posted last.
"""

from collections.abc import Iterable

from adjoint.schedules.costs import Costs

__all__ = ["Transfer", "VirtualClock"]


class Transfer:
    """A state on its way to the file or back."""

    __slots__ = ("begins", "ends", "frees_slot", "reading")

    def __init__(self, begins: float, ends: float, *, reading: bool) -> None:
        self.begins = begins
        self.ends = ends
        self.reading = reading
        self.frees_slot = False
        """Whether it is a write from a discarded slot, which is free once the write is done."""


class VirtualClock:
    """The time of the processor, and the time until which the channel is busy.

    Parameters
    ----------
    costs
        Only the slowdowns are used: all other times are passed to the methods.
    """

    def __init__(self, costs: Costs) -> None:
        self.now = 0.0
        self.stall = 0.0
        """Time for which the processor has waited."""
        self.busy_until = 0.0
        self._costs = costs
        self._slowdown = costs.slowdown

    def update_costs(self, costs: Costs) -> None:
        """Replace the costs; transfers under way and their slowdown stay as they are."""
        self._costs = costs

    def compute(self, work: float) -> None:
        """Compute what takes the time `work`, or longer while the channel is busy."""
        busy = self.busy_until - self.now
        if busy > 0:
            done_meanwhile = busy / self._slowdown
            if work <= done_meanwhile:
                self.now += work * self._slowdown
                return
            self.now = self.busy_until
            work -= done_meanwhile
        self.now += work

    def post(self, seconds: float, *, reading: bool) -> Transfer:
        """Post a transfer, which begins when those before it are done."""
        begins = max(self.now, self.busy_until)
        self.busy_until = begins + seconds
        self._slowdown = self._costs.read_slowdown if reading else self._costs.slowdown
        return Transfer(begins, self.busy_until, reading=reading)

    def wait(self, transfer: Transfer) -> None:
        """Wait until a transfer is done."""
        if transfer.ends > self.now:
            self.stall += transfer.ends - self.now
            self.now = transfer.ends

    def cancel(self, transfer: Transfer, later: Iterable[Transfer]) -> None:
        """Cancel a transfer that has not begun; those posted later, given in order, move up."""
        self.busy_until = transfer.begins
        for other in later:
            seconds = other.ends - other.begins
            other.begins = self.busy_until
            self.busy_until = other.ends = other.begins + seconds
