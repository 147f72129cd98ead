"""What a gradient did and what it cost: `Report`, in `Result.report`."""

from dataclasses import dataclass
from math import isfinite

from adjoint.units import format_bytes, format_count

__all__ = ["Report"]

MAX_LISTED = 8
"""Lost states listed by step in the text; the others are counted."""


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of one gradient on this rank. ``print(report)`` shows them with their units."""

    schedule: str
    """The schedule that was used, in words."""
    reason: str
    """Why the planner chose it; empty if the caller chose it."""
    num_steps: int
    leaf_steps: int
    """Steps recorded and pulled back together. Where the stepper's rounding depends on it, the
    gradient has the same bits again in leaves of this size only."""
    state_bytes: int
    """One state, on this rank."""
    memory_bytes: int
    """Peak size of the state-sized buffers and tapes in use at once, on this rank."""
    touched_bytes: int
    """New memory for them that was touched for the first time, on this rank: 0 where later
    evaluations use what there is. A stepper's tapes count if their memory is the driver's."""
    kept_tapes: int
    """The most tapes alive at once, that of the leaf being reversed included."""
    actions: int
    """Actions of the schedule that were carried out."""
    advanced_steps: int
    """Steps taken without recording a tape, those of the forward sweep included."""
    recorded_steps: int
    """Steps taken while recording a tape: usually each step once."""
    forward_seconds: float
    """From the start to the turn."""
    reverse_seconds: float
    """From the turn to the end."""
    first_touch_seconds: float
    """The part of both that touching new memory took."""
    predicted_seconds: float
    """The planner's prediction of `seconds`, without the first touch of memory; in a later
    evaluation, the time that `adjoint.replay` gives the schedule by the costs of the evaluation
    before. nan where nothing was measured."""
    probe_seconds: float
    """Time to measure costs before the sweep; 0 if nothing was measured."""
    engine: str
    """The engine that moved states to and from the file; empty without a file."""
    engine_reason: str
    """Why it was chosen; empty without a file, or if the caller chose it. If it replaced an engine
    whose transfer did not end, this says so."""
    bytes_written: int
    """To the file, by this rank."""
    bytes_read: int
    transfer_seconds: float
    """Time during which a transfer was under way."""
    wait_seconds: float
    """Time during which the computation waited for a transfer or posted one."""
    cost_changes: int
    """Times the schedule was given new transfer costs during the sweep."""
    compared_states: int
    """States that were compared with the first time: recomputed or restored ones."""
    unchecked: str
    """Why recomputed steps were not compared with the first time; empty if they were."""
    lost_states: tuple[int, ...]
    """Steps of the states whose write or read failed; they were recomputed."""
    lost_tapes: tuple[int, ...]
    """First steps of the tapes whose write or read failed; they were recorded again."""
    journal_records: int
    """Records written to the journal, from which a run can be resumed."""
    journal_seconds: float
    """Time to write them."""
    journal_failure: str
    """Why the last record of the journal was not written; empty if it was, or without a journal."""
    resumed_from: str
    """The point at which an earlier run was resumed; empty for a run from the beginning."""

    @property
    def trajectory_bytes(self) -> int:
        """Size of all states of the run, on this rank."""
        return (self.num_steps + 1) * self.state_bytes

    @property
    def recomputation_factor(self) -> float:
        """Steps taken, recorded or not, over the steps of the run; 2 if every state is kept."""
        return (self.advanced_steps + self.recorded_steps) / self.num_steps

    @property
    def seconds(self) -> float:
        """Time of both sweeps, without the probe."""
        return self.forward_seconds + self.reverse_seconds

    @property
    def stall_share(self) -> float:
        """The part of both sweeps during which the computation waited for transfers."""
        return self.wait_seconds / self.seconds if self.seconds else 0.0

    @property
    def hidden_share(self) -> float:
        """The part of the transfer time during which the computation went on; 1 without any."""
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
            "first touch": f"{format_bytes(self.touched_bytes)}, {self.first_touch_seconds:.2f} s",
            "recomputation factor": f"{self.recomputation_factor:.2f} ({steps})",
            "seconds": f"{self.forward_seconds:.2f} forward, {self.reverse_seconds:.2f} reverse",
            "file": f"{moved}; {self.hidden_share:.0%} of transfer time hidden",
        }
        if self.touched_bytes == 0:
            del rows["first touch"]
        if not self.bytes_written:
            del rows["file"]
        else:
            rows["waiting"] = f"{self.stall_share:.1%} of the time"
            because = f": {self.engine_reason}" if self.engine_reason else ""
            rows["engine"] = f"{self.engine}{because}"
        if isfinite(self.predicted_seconds):
            rows["predicted"] = f"{self.predicted_seconds:.2f} s, measured {self.seconds:.2f} s"
        if self.journal_records:
            share = self.journal_seconds / self.seconds if self.seconds else 0.0
            records = format_count(self.journal_records, "record")
            rows["journal"] = f"{records}, {share:.1%} of the time"
        rows["resumed from"] = self.resumed_from
        rows["lost states"] = _listed(self.lost_states, "state")
        rows["lost tapes"] = _listed(self.lost_tapes, "tape")
        rows["journal failed"] = self.journal_failure
        rows["warning"] = f"replays not checked: {self.unchecked}" if self.unchecked else ""
        return "\n".join(f"{name:21}{text}" for name, text in rows.items() if text)


def _listed(steps: tuple[int, ...], what: str) -> str:
    if not steps:
        return ""
    listed = ", ".join(f"{step:,}" for step in steps[:MAX_LISTED])
    more = f" and {len(steps) - MAX_LISTED:,} more" if len(steps) > MAX_LISTED else ""
    return f"{format_count(len(steps), what)}, recomputed: {listed}{more}"
