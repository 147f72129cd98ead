"""Exact makespans of the schedules that a plan must not be slower than, mostly not played.

For leaves of one step, as priced by `adjoint.replay`: a step forward takes 1, reversing one from
its own state `u_b`, the last step of the run takes both, and transfers take `w` and `r`.

- *Revolve* (Griewank and Walther 2000, doi:10.1145/347837.347846) advances t(n, s) steps.
- *Store-all* advances each step once.
- *Disk-Revolve* (Aupy et al. 2016, doi:10.1137/15M1019222) waits for all its transfers, which its
  tally counts.
- *Asynchronous* (Kukreja, Hückelheim and Gorman 2018, arXiv:1806.01117) with its own rule for the
  interval, ``ceil(w / u_f)``. Its event times follow a recurrence from segment to segment. Only
  the tail, and segments begun while several states are still staged, are played action by action:
  they wait for a write if no slot is free.
"""

from collections import deque
from math import ceil

from adjoint.schedules import Asynchronous, DiskRevolve, Spilling
from adjoint.schedules.actions import Advance, Discard, PullBack, Store, Turn
from adjoint.schedules.revolve import minimal_advances, reversal
from adjoint.schedules.spilling.rehearsal import Rehearsal
from adjoint.simulation.replay import price

STAGING = (1, 4)
"""Slots that stage writes: as in the paper, and the default of `Asynchronous`."""


def baselines(configuration):
    """Return the makespans of all baselines, by name."""
    found = {"Revolve": revolve(configuration)}
    for name, schedule in baseline_schedules(configuration).items():
        found[name] = makespan(schedule, configuration)
    if configuration.num_slots >= configuration.num_steps - 1:
        found["StoreAll"] = configuration.num_steps * (1 + configuration.pull_back)
    return found


def baseline_schedules(configuration):
    """Return the baselines whose makespan has no closed form."""
    n, slots, write = configuration.num_steps, configuration.num_slots, configuration.write
    found = {"DiskRevolve": DiskRevolve(n, slots, write=write, read=configuration.read)}
    for staging in STAGING:
        schedule = Asynchronous(n, slots, max(1, ceil(write)), staging=staging)
        found[f"Asynchronous, staging {staging}"] = schedule
    return found


def makespan(schedule, configuration):
    """Return the makespan of any schedule, played action by action only if necessary.

    That of a `Spilling` is taken from its own virtual clock.
    """
    if isinstance(schedule, Spilling):
        rehearsal = Rehearsal(schedule)
        rehearsal.run()
        return rehearsal.seconds
    if configuration.with_tapes:
        return price(schedule, configuration.costs).makespan
    match schedule:
        case DiskRevolve(tally=tally):
            moved = tally.writes * configuration.write + tally.reads * configuration.read
            reversing = schedule.num_steps * configuration.pull_back
            return tally.advances + moved + 1 + reversing
        case Asynchronous() if schedule.file_states:
            return _Asynchronous(configuration, schedule).makespan()
        case Asynchronous():
            return revolve(configuration)
        case _:
            return price(schedule, configuration.costs).makespan


def revolve(configuration):
    n, slots = configuration.num_steps, configuration.num_slots
    return minimal_advances(n, slots) + 1 + n * configuration.pull_back


class _Asynchronous:
    def __init__(self, configuration, schedule):
        self.costs = configuration
        self.schedule = schedule
        self.now = 0.0
        self.channel = 0.0
        """Time until which the channel is busy."""
        self.done = deque()
        """Times at which the transfers of the states in slots are done, the oldest state first."""

    def makespan(self):
        n, interval = self.schedule.num_steps, self.schedule.interval
        slots, boundaries = self.schedule.num_slots, self.schedule.file_states
        self.sweep(boundaries)
        last = boundaries * interval
        self.play(reversal(last, n, slots - 1, 1, turn=True), 0)
        for k in range(boundaries - 1, -1, -1):
            self.now = max(self.now, self.done.pop())
            if k and not self.done:
                self.post(self.costs.read)
            room = slots - 1 if k else slots
            if len(self.done) > 1:
                start = k * interval
                self.play(reversal(start, start + interval, room, 1, turn=False), 1)
            else:
                self.now += minimal_advances(interval, room) + interval * self.costs.pull_back
        return self.now

    def sweep(self, boundaries):
        staged = min(self.schedule.staging, self.costs.num_slots, boundaries)
        for _ in range(boundaries):
            if len(self.done) == staged:
                self.now = max(self.now, self.done.popleft())
            self.post(self.costs.write)
            self.now += self.schedule.interval

    def play(self, segment, used):
        """Reverse a segment; if no slot is free, wait for the oldest write."""
        for action in segment:
            match action:
                case Advance(start=start, stop=stop):
                    self.now += stop - start
                case Store():
                    if used + len(self.done) == self.schedule.num_slots:
                        self.now = max(self.now, self.done.popleft())
                    used += 1
                case Discard():
                    used -= 1
                case Turn():
                    self.now += 1  # the last step of the run, which the record before it reached
                case PullBack():
                    self.now += self.costs.pull_back

    def post(self, seconds):
        self.channel = max(self.now, self.channel) + seconds
        self.done.append(self.channel)
