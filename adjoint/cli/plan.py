"""``adjoint plan``: what a gradient will cost, and which schedule is best."""

import argparse
import dataclasses
import json
import sys

from adjoint import plots
from adjoint.cli.arguments import Commands, add_command, require_plotting, with_units
from adjoint.errors import ArgumentError
from adjoint.measurement.synthetic import probe_file
from adjoint.reporting.plan_table import PlanRequest, PlanTable
from adjoint.schedules.costs import Costs
from adjoint.units import (
    format_bytes,
    format_seconds,
    format_speed,
    parse_bytes,
    parse_count,
    parse_seconds,
    parse_speed,
)

__all__ = ["add_plan"]

DEFAULT_STEP_SECONDS = 1.0
"""Without --step, times come out in units of one step."""

DEFAULT_PULL_BACK_STEPS = 2.0
"""A transposed derivative takes about two products where the step takes one."""

DEFAULT_WRITE_SPEED = 1e9
"""Bytes per second: a modest SSD, or one rank's share of a parallel file system."""

DESCRIPTION = """\
what will the gradient of a run cost? Prints a table of the best schedule of each family, the
fastest first; a star marks the one that adjoint.gradient would choose"""

EPILOG = """\
Sizes are written as "16 MiB", "200 GB" or in bytes; times as 0.02 (seconds), "20 ms" or "2 min";
speeds as "1.2 GB/s"; counts as 1000000, 1e6 or 10^6. Under MPI all sizes are those of one rank, and
the speeds are its share. Without --disk, --write, --read and --probe there is no file."""

QUANTITIES = (
    ("steps", parse_count, "N", "steps of the run; required"),
    ("state", parse_bytes, "SIZE", "size of a state; required"),
    ("memory", parse_bytes, "SIZE", "memory for all snapshots and tapes; required"),
    ("disk", parse_bytes, "SIZE", "largest size of the file (default: no limit)"),
    ("step", parse_seconds, "TIME", "one step forward; required with a file (default: 1 s)"),
    ("pull-back", parse_seconds, "TIME", "one step of the adjoint (default: twice a step)"),
    ("record", parse_seconds, "TIME", "what recording a tape adds to a step (default: 0)"),
    ("tape", parse_bytes, "SIZE", "the tape of one step (default: its state is the tape)"),
    ("piece", parse_bytes, "SIZE", "pieces that tapes consist of, which may go to the file"),
    ("leaf", parse_count, "N", "steps recorded together (default: the best number)"),
    ("write", parse_speed, "SPEED", "writing the file (default: 1 GB/s)"),
    ("read", parse_speed, "SPEED", "reading the file (default: as fast as writing)"),
    ("slowdown", float, "FACTOR", "how much slower steps are during a transfer (default: 1)"),
)
"""Options with a value: name, parser, placeholder and help."""


def add_plan(commands: Commands) -> None:
    """Add the command to the parser's commands."""
    parser = add_command(commands, "plan", _plan, DESCRIPTION, EPILOG)
    for name, parse, metavar, text in QUANTITIES:
        required = name in {"steps", "state", "memory"}
        kind = parse if parse is float else with_units(parse)
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=text, required=required)
    parser.add_argument(
        "--probe",
        metavar="FOLDER",
        nargs="?",
        const=".",
        help="measure copies, writes and reads on this machine, with a temporary file in FOLDER "
        "(default: the current folder)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw time against memory, and the schedule, in a .png, .pdf or .svg file",
    )


def _plan(options: argparse.Namespace) -> int:
    if options.plot is not None:
        require_plotting(options.plot)
    request, notes = _request(options)
    table = PlanTable.of(request)
    if options.json:
        print(json.dumps({**table.as_json(), "notes": notes}, indent=2))
    else:
        state, memory = format_bytes(request.state_bytes), format_bytes(request.memory_bytes)
        print(f"{request.num_steps:,} steps, a state of {state}, {memory} of memory. Costs:")
        print(*(f"- {note}" for note in notes), "", table.as_text(), sep="\n")
    if options.plot is not None:
        plots.save_figure(plots.plan_figure(table), options.plot)
        print(f"drawn in {options.plot}", file=sys.stderr)
    return 0


def _request(options: argparse.Namespace) -> tuple[PlanRequest, list[str]]:
    """Return the run to plan, and a note on each cost: what it is, and where it comes from."""
    has_file = any(
        value is not None for value in (options.disk, options.write, options.read, options.probe)
    )
    if has_file and options.step is None:
        raise ArgumentError(
            "with a file the plan depends on how long a step takes beside a write: give --step, or "
            "leave out --disk, --write, --read and --probe"
        )
    costs, notes = _computing(options)
    disk = 0
    if has_file:
        costs, file_notes = _with_file(costs, options)
        disk = options.disk
        room = "of any size (--disk)" if disk is None else f"of up to {format_bytes(disk)}"
        notes += [*file_notes, f"a file {room}"]
    request = PlanRequest(
        num_steps=options.steps,
        state_bytes=options.state,
        memory_bytes=options.memory,
        costs=costs,
        tape_bytes=(options.tape or options.state) if _is_taped(options) else None,
        piece_bytes=options.piece,
        disk_bytes=disk,
        leaf_steps=options.leaf,
    )
    return request, notes


def _computing(options: argparse.Namespace) -> tuple[Costs, list[str]]:
    """Return the costs of the computation alone, and a note on each."""
    step = DEFAULT_STEP_SECONDS if options.step is None else options.step
    pull_back = DEFAULT_PULL_BACK_STEPS * step if options.pull_back is None else options.pull_back
    record = 0.0 if options.record is None else options.record
    taped = _is_taped(options)
    costs = Costs(
        advance=step, record=record, unreached=step if taped else 0.0, pull_back=pull_back
    )
    notes = [
        f"a step of {format_seconds(step)}"
        + (" (--step: the unit of all times here)" if options.step is None else ""),
        f"pulling a step back: {format_seconds(pull_back)}"
        + (" (--pull-back: twice a step)" if options.pull_back is None else ""),
    ]
    if taped:
        size = options.state if options.tape is None else options.tape
        notes.append(
            f"a tape of {format_bytes(size)} a step, recorded while the step is taken, which adds "
            f"{format_seconds(record)} to it"
        )
    else:
        notes.append("the state before a step is its tape (--tape, --record)")
    return costs, notes


def _is_taped(options: argparse.Namespace) -> bool:
    """Return whether a step has a tape besides the state before it."""
    return options.tape is not None or options.record is not None


def _with_file(costs: Costs, options: argparse.Namespace) -> tuple[Costs, list[str]]:
    """Return the costs with those of the file, given, else measured, else assumed; and notes."""
    size = options.state
    if options.probe is not None:
        measured, origin = probe_file(options.probe, size), "measured here, page cache included"
        as_writing = origin
    else:
        seconds = size / (options.write or DEFAULT_WRITE_SPEED)
        measured, origin = Costs(write=seconds, read=seconds), "assumed; --probe measures it"
        as_writing = origin if options.write is None else "assumed as fast as writing"
    write = measured.write if options.write is None else size / options.write
    read = measured.read if options.read is None else size / options.read
    slowdown, while_reading = measured.slowdown, measured.read_slowdown
    if options.slowdown is not None:
        slowdown = while_reading = options.slowdown
    notes = [
        f"writing a state: {_speed(size, write)}{_unless(options.write, origin)}",
        f"reading a state: {_speed(size, read)}{_unless(options.read, as_writing)}",
        f"{_slower(slowdown, while_reading)}{_unless(options.slowdown, origin)}",
    ]
    if options.probe is not None:
        notes.append(f"copying a state: {_speed(size, measured.store)} (measured here)")
    slower = {"slowdown": slowdown, "read_slowdown": while_reading}
    moving = {"write": write, "read": read, **slower}
    kept = {"store": measured.store, "restore": measured.restore, "post": measured.post}
    return dataclasses.replace(costs, **moving, **kept), notes


def _slower(writing: float, reading: float) -> str:
    """Return a note on how much slower steps are during a transfer of either direction."""
    if writing == reading:
        return f"steps {writing:.2f} times slower during a transfer"
    return f"steps {writing:.2f} times slower during a write, {reading:.2f} during a read"


def _unless(given: object, origin: str) -> str:
    return f" ({origin})" if given is None else ""


def _speed(size: int, seconds: float) -> str:
    return f"{format_speed(size / seconds)}, {format_seconds(seconds)}" if seconds else "no time"
