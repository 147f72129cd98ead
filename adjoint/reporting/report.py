"""What a gradient did and what it cost: the figures behind `Result.report`."""

from dataclasses import dataclass, field
from math import isfinite

from adjoint.planning.prediction import Prediction
from adjoint.schedules import Schedule
from adjoint.units import format_bytes

__all__ = ["Report", "in_words"]

MOST_NAMED = 8
"""Lost states that are named one by one."""


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of one gradient on this rank. ``print(report)`` gives them in words."""

    schedule: str
    """The schedule that was played, in words."""
    reason: str
    """Why the planner chose it; empty where the caller did."""
    num_steps: int
    state_bytes: int
    """One state, on this rank."""
    memory_bytes: int
    """State-sized buffers and tape that were in use at the most, on this rank."""
    actions: int
    advanced_steps: int
    """Steps taken without a tape, the first sweep's included."""
    recorded_steps: int
    """Steps taken with one: each step once, if tapes are not kept."""
    forward_seconds: float
    """From the start to the turn."""
    reverse_seconds: float
    """From the turn to the end."""
    prediction: Prediction = field(repr=False)
    """Works out `predicted_seconds`."""
    probe_seconds: float
    """What measuring costs took, before the sweep; 0 where nothing was measured."""
    engine: str
    """What moved states to and from the file; empty where there is none."""
    engine_reason: str
    """Why it was chosen; empty where the caller did, or there is none."""
    bytes_written: int
    bytes_read: int
    transfer_seconds: float
    """Time in which a transfer was under way."""
    wait_seconds: float
    """Time in which the computation stood still for a transfer, or posted one."""
    cost_changes: int
    """How often the schedule was told that transfers cost something else than before."""
    lost_states: tuple[int, ...]
    """States that the file lost, a write or a read having failed; they were recomputed."""
    journal_records: int
    """How often what a resumed run needs was written."""
    journal_seconds: float
    """What that took."""
    journal_failure: str
    """Why the journal could not be written to the end; empty if it was, or there is none."""
    resumed_from: str
    """Where an earlier run was gone on with; empty if this one began at the beginning."""

    @property
    def predicted_seconds(self) -> float:
        """What the planner reckoned, or of a later evaluation, what the one before tells.

        That is what `adjoint.replay` says of the schedule on the costs that were measured; nan
        where nothing was. It is worked out when it is asked for first: microseconds an action.
        """
        return self.prediction.seconds

    @property
    def trajectory_bytes(self) -> int:
        """All the states of the computation, on this rank."""
        return (self.num_steps + 1) * self.state_bytes

    @property
    def recomputation_factor(self) -> float:
        """Steps taken, with a tape or without, over the steps there are. Keeping every state: 2."""
        return (self.advanced_steps + self.recorded_steps) / self.num_steps

    @property
    def seconds(self) -> float:
        """Both sweeps, without the probe."""
        return self.forward_seconds + self.reverse_seconds

    @property
    def stall_share(self) -> float:
        """The share of both sweeps in which the computation stood still for transfers."""
        return self.wait_seconds / self.seconds if self.seconds else 0.0

    @property
    def hidden_share(self) -> float:
        """The share of transfer time in which the computation went on; 1 if nothing was moved."""
        if self.transfer_seconds == 0:
            return 1.0
        return max(0.0, 1 - self.wait_seconds / self.transfer_seconds)

    def __str__(self) -> str:
        steps = f"{self.advanced_steps:,} steps advanced, {self.recorded_steps:,} recorded"
        moved = f"{format_bytes(self.bytes_written)} written, {format_bytes(self.bytes_read)} read"
        rows = {
            "schedule": self.schedule,
            "why": self.reason,
            "trajectory": f"{self.num_steps:,} steps of {format_bytes(self.state_bytes)}: "
            + format_bytes(self.trajectory_bytes),
            "memory for states": format_bytes(self.memory_bytes),
            "recomputation factor": f"{self.recomputation_factor:.2f} ({steps})",
            "seconds": f"{self.forward_seconds:.2f} forward, {self.reverse_seconds:.2f} reverse",
            "file": f"{moved}; {self.hidden_share:.0%} of transfer time hidden",
        }
        if not self.bytes_written:
            del rows["file"]
        else:
            rows["stalls"] = f"{self.stall_share:.1%} of the time"
            because = f": {self.engine_reason}" if self.engine_reason else ""
            rows["moved by"] = f"{self.engine}{because}"
        if isfinite(self.predicted_seconds):
            rows["predicted"] = f"{self.predicted_seconds:.2f} s, taken {self.seconds:.2f} s"
        if self.journal_records:
            share = self.journal_seconds / self.seconds if self.seconds else 0.0
            rows["journal"] = f"{self.journal_records} records, {share:.1%} of the time"
        rows["resumed from"] = self.resumed_from
        rows["lost by the file"] = _list_of(self.lost_states)
        rows["journal failed"] = self.journal_failure
        return "\n".join(f"{name:21}{text}" for name, text in rows.items() if text)


def in_words(schedule: Schedule) -> str:
    """Return a schedule in words: "Revolve, 8 slots, leaves of 4"."""
    words = [type(schedule).__name__, _number_of(schedule.num_slots, "slot")]
    if schedule.leaf_steps > 1:
        words.append(f"leaves of {schedule.leaf_steps:,}")
    if schedule.num_tapes > 1:
        words.append(f"up to {schedule.num_tapes:,} tapes kept")
    interval = getattr(schedule, "interval", None)
    if interval is not None:
        words.append(f"interval {round(interval, 1):,}")
    if schedule.file_states:
        words.append(f"{_number_of(schedule.file_states, 'state')} in the file")
    return ", ".join(words)


def _list_of(steps: tuple[int, ...]) -> str:
    if not steps:
        return ""
    named = ", ".join(f"{step:,}" for step in steps[:MOST_NAMED])
    more = f" and {len(steps) - MOST_NAMED:,} more" if len(steps) > MOST_NAMED else ""
    return f"{_number_of(len(steps), 'state')}, recomputed: {named}{more}"


def _number_of(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
