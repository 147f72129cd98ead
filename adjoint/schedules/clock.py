"""Event times of a processor and a channel that work side by side, by arithmetic.

The processor computes one thing after another. The channel carries one state at a time, either
way, in the order in which transfers were posted, and never idles while one is posted. So whenever
it is busy it stays busy until the last posted transfer is done, and all times follow exactly:
there is no time step. While the channel is busy the processor computes slower by a factor: that of
writes or that of reads, whichever were posted last.
"""

from collections.abc import Iterable

from adjoint.schedules.costs import Costs

__all__ = ["Transfer", "VirtualClock"]


class Transfer:
    """A state on its way to the file or back."""

    __slots__ = ("begins", "ends", "given_up", "reading")

    def __init__(self, begins: float, ends: float, *, reading: bool) -> None:
        self.begins = begins
        self.ends = ends
        self.reading = reading
        self.given_up = False
        """A write from a slot that is to be free once it is done."""


class VirtualClock:
    """The processor's time, and until when the channel has work.

    Parameters
    ----------
    costs
        Of which it needs how much longer computing takes while the channel is busy.
    """

    def __init__(self, costs: Costs) -> None:
        self.now = 0.0
        self.stall = 0.0
        """Time that the processor has stood still."""
        self.busy_until = 0.0
        self._costs = costs
        self._slowdown = costs.slowdown

    def update_costs(self, costs: Costs) -> None:
        """Go by other costs from now on; what is under way takes what it was to take."""
        self._costs = costs

    def compute(self, work: float) -> None:
        """Compute for so long, and longer where the channel is busy meanwhile."""
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
        """Give the channel a transfer, which begins when those before it are done."""
        begins = max(self.now, self.busy_until)
        self.busy_until = begins + seconds
        self._slowdown = self._costs.read_slowdown if reading else self._costs.slowdown
        return Transfer(begins, self.busy_until, reading=reading)

    def wait(self, transfer: Transfer) -> None:
        """Stand still until a transfer is done."""
        if transfer.ends > self.now:
            self.stall += transfer.ends - self.now
            self.now = transfer.ends

    def cancel(self, transfer: Transfer, later: Iterable[Transfer]) -> None:
        """Take back a transfer that has not begun; those posted later move up, in order."""
        self.busy_until = transfer.begins
        for other in later:
            seconds = other.ends - other.begins
            other.begins = self.busy_until
            self.busy_until = other.ends = other.begins + seconds
