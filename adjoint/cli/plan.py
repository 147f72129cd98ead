"""``adjoint plan``: what a gradient will cost, before node-hours are spent on it."""

import argparse
import dataclasses
import json
import sys

from adjoint.cli.arguments import Commands, drawing_module, reading
from adjoint.errors import ArgumentError
from adjoint.measurement.synthetic import probe_file
from adjoint.reporting.plan_table import Answer, Question
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

DEFAULT_PULL_BACK = 2.0
"""In steps: a transposed derivative is about two products where the step is one."""

DEFAULT_WRITE_SPEED = 1e9

PLAN = """\
what will the gradient of a run cost? Prints a table of the best schedule of each family, the
quickest first, with the one that adjoint.gradient would take marked"""

PLAN_ENDING = """\
Sizes are written as "16 MiB", "200 GB" or in bytes; times as 0.02 (seconds), "20 ms" or "2 min";
speeds as "1.2 GB/s"; counts as 1000000, 1e6 or 10^6. Under MPI all sizes are those of one rank, and
the speeds are its share. Without --disk, --write, --read and --probe there is no file."""


def add_plan(commands: Commands) -> None:
    """Add the command to those there are."""
    plan = commands.add_parser(
        "plan",
        help=PLAN.partition("?")[0] + "?",
        description=PLAN,
        epilog=PLAN_ENDING,
        allow_abbrev=False,
    )
    plan.set_defaults(answer=_plan)
    for name, read, metavar, text in (
        ("steps", parse_count, "N", "steps of the run; required"),
        ("state", parse_bytes, "SIZE", "one state; required"),
        ("memory", parse_bytes, "SIZE", "for all snapshots and tapes; required"),
        ("disk", parse_bytes, "SIZE", "for the file (as much as it takes, if there is one)"),
        ("step", parse_seconds, "TIME", "one step forward; required if there is a file (1 s)"),
        ("pull-back", parse_seconds, "TIME", "one step of the adjoint (twice a step)"),
        ("record", parse_seconds, "TIME", "what keeping a step's tape adds to the step (0)"),
        ("tape", parse_bytes, "SIZE", "the tape of one step (the state itself is all it takes)"),
        ("leaf", parse_count, "N", "record so many steps together (as many as is best)"),
        ("write", parse_speed, "SPEED", "of the file (1 GB/s, if there is one)"),
        ("read", parse_speed, "SPEED", "of the file (that of writing)"),
        ("slowdown", float, "FACTOR", "how much slower steps are during a transfer (1)"),
    ):
        required = name in {"steps", "state", "memory"}
        kind = read if read is float else reading(read)
        plan.add_argument(f"--{name}", type=kind, metavar=metavar, help=text, required=required)
    plan.add_argument(
        "--probe",
        metavar="FOLDER",
        nargs="?",
        const=".",
        help="measure copies, writes and reads on this machine, with a temporary file in FOLDER "
        "(the current one)",
    )
    plan.add_argument("--json", action="store_true", help="print the answer as JSON")
    plan.add_argument(
        "--plot",
        metavar="FILE",
        help="draw time against memory, and the schedule, in a .png, .pdf or .svg file",
    )


def _plan(options: argparse.Namespace) -> int:
    plots = "adjoint.plots.schedule"
    drawing = None if options.plot is None else drawing_module(plots, options.plot)
    question, notes = _question(options)
    answer = Answer.of(question)
    if options.json:
        print(json.dumps({**answer.as_json(), "notes": notes}, indent=2))
    else:
        state, memory = format_bytes(question.state_bytes), format_bytes(question.memory_bytes)
        print(f"{question.num_steps:,} steps, a state of {state}, {memory} of memory. Costs:")
        print(*(f"- {note}" for note in notes), "", answer.as_text(), sep="\n")
    if drawing is not None:
        drawing.draw_answer(answer, options.plot)
        print(f"drawn in {options.plot}", file=sys.stderr)
    return 0


def _question(options: argparse.Namespace) -> tuple[Question, list[str]]:
    """Return the question, and a line on each cost: what it is, and where it comes from."""
    has_file = any(
        value is not None for value in (options.disk, options.write, options.read, options.probe)
    )
    if has_file and options.step is None:
        raise ArgumentError(
            "with a file it matters how long a step takes beside a write: give --step, or leave "
            "--disk, --write, --read and --probe out"
        )
    costs, notes = _computing(options)
    disk = 0
    if has_file:
        costs, told = _with_file(costs, options)
        notes += told
        disk = options.disk
        room = "as large as it likes (--disk)" if disk is None else f"up to {format_bytes(disk)}"
        notes.append(f"a file {room}")
    question = Question(
        num_steps=options.steps,
        state_bytes=options.state,
        memory_bytes=options.memory,
        costs=costs,
        tape_bytes=options.state if options.tape is None else options.tape,
        disk_bytes=disk,
        leaf_steps=options.leaf,
    )
    return question, notes


def _computing(options: argparse.Namespace) -> tuple[Costs, list[str]]:
    step = DEFAULT_STEP_SECONDS if options.step is None else options.step
    pull_back = DEFAULT_PULL_BACK * step if options.pull_back is None else options.pull_back
    record = 0.0 if options.record is None else options.record
    taped = options.tape is not None or options.record is not None
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
            f"a tape of {format_bytes(size)} a step, that comes of taking the step, and adds "
            f"{format_seconds(record)} to it"
        )
    else:
        notes.append("a tape that is the step's own state (--tape, --record)")
    return costs, notes


def _with_file(costs: Costs, options: argparse.Namespace) -> tuple[Costs, list[str]]:
    """Return the costs with those of the file: as given, else as measured, else as assumed."""
    size = options.state
    if options.probe is not None:
        measured, origin = probe_file(options.probe, size), "as measured here, page cache and all"
        as_writing = origin
    else:
        seconds = size / (options.write or DEFAULT_WRITE_SPEED)
        measured, origin = Costs(write=seconds, read=seconds), "assumed: --probe measures it"
        as_writing = origin if options.write is None else "assumed: as fast as writing"
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
        notes.append(f"copying a state: {_speed(size, measured.store)} (as measured here)")
    slower = {"slowdown": slowdown, "read_slowdown": while_reading}
    moving = {"write": write, "read": read, **slower}
    kept = {"store": measured.store, "restore": measured.restore, "post": measured.post}
    return dataclasses.replace(costs, **moving, **kept), notes


def _slower(writing: float, reading: float) -> str:
    """Return how much slower steps are during a transfer, either way."""
    if writing == reading:
        return f"steps {writing:.2f} times slower during a transfer"
    return f"steps {writing:.2f} times slower during a write, {reading:.2f} during a read"


def _unless(given: object, origin: str) -> str:
    return f" ({origin})" if given is None else ""


def _speed(size: int, seconds: float) -> str:
    return f"{format_speed(size / seconds)}, {format_seconds(seconds)}" if seconds else "no time"
