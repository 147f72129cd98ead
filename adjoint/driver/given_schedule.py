"""A schedule that the caller gave: refused unless it fits the run, its memory and its file."""

from adjoint.driver.budgets import max_file_states, required_bytes, slots_of_a_tape
from adjoint.driver.run import Run
from adjoint.driver.tapes_in_file import check_pieces
from adjoint.errors import ArgumentError
from adjoint.schedules import Schedule
from adjoint.schedules.tapes_in_file.parameters import tape_pieces

__all__ = ["check_given_schedule"]


def check_given_schedule(run: Run, schedule: Schedule) -> None:
    """Raise `ArgumentError`, on every rank, unless a schedule fits the run. Collective."""
    _check_steps(run, schedule)
    _check_tapes(run, schedule)
    check_pieces(run, schedule)
    if schedule.file_states and run.file is None:
        raise ArgumentError(f"{schedule!r} keeps states in a file: give file=")
    memory = run.options.memory_bytes
    if memory is not None:
        needed = required_bytes(run, schedule)
        if needed > memory:
            raise ArgumentError(
                f"{schedule!r} takes {needed} bytes per rank, more than memory={memory}"
            )
    if tape_pieces(schedule) or run.options.disk_bytes is None:
        return
    if schedule.file_states > max_file_states(run):
        raise ArgumentError(
            f"the schedule keeps {schedule.file_states} states in the file, "
            f"disk={run.options.disk_bytes} bytes has room for {max_file_states(run)}"
        )


def _check_steps(run: Run, schedule: Schedule) -> None:
    if schedule.num_steps not in {None, run.num_steps}:
        raise ArgumentError(
            f"the schedule has {schedule.num_steps} steps, num_steps is {run.num_steps}"
        )
    insisted = run.capabilities.leaf_steps
    if insisted is not None and schedule.leaf_steps != insisted:
        raise ArgumentError(
            f"the stepper insists on leaves of {insisted} steps, "
            f"the schedule has {schedule.leaf_steps}"
        )


def _check_tapes(run: Run, schedule: Schedule) -> None:
    if schedule.num_tapes == 1:
        return
    needed = slots_of_a_tape(run, schedule.leaf_steps)
    if schedule.tape_slots < needed:
        raise ArgumentError(
            f"{schedule!r} counts {schedule.tape_slots} slots for a tape that takes {needed}: "
            f"make it with tape_slots={needed}"
        )
