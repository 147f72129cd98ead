"""The options of a run: what a caller may ask for, and the same parsed and checked once."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from adjoint.errors import ArgumentError
from adjoint.parallel import Communicator
from adjoint.schedules import Schedule, require_schedule
from adjoint.storage.engines.deadline import parse_deadline
from adjoint.storage.engines.registry import require_engine
from adjoint.units import parse_bytes

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Options", "RunOptions", "require_known"]

DEFAULT_MAX_LOST_SHARE = 0.05


class RunOptions(TypedDict, total=False):
    """The keyword arguments of `adjoint.Functional` and `adjoint.gradient`; all are optional.

    A function that passes them on takes ``**options: Unpack[adjoint.RunOptions]``.
    """

    comm: Any
    """The mpi4py communicator whose ranks compute together. Default None: a single process, with a
    warning if it is one of several ranks, unless ``comm=MPI.COMM_SELF`` says that this is meant."""

    memory: int | str | None
    """Bytes per rank for all snapshots and tapes, which is what a gradient adds to the memory of a
    forward run: an integer, or text like "512 MiB".
    Default: a quarter of what the node has, or a container or batch job may use of it, divided by
    the ranks on the node."""

    file: str | os.PathLike[str] | None
    """Where snapshots may be stored besides: a path, which is kept, or an existing folder for a
    temporary file. Default: all snapshots stay in memory. A file that is kept also has a journal,
    from which a killed run can be resumed."""

    disk: int | str | None
    """Bytes that the file may hold, all ranks together. Default: no limit."""

    schedule: Schedule | None
    """The schedule to play. Default: the best one by measured costs; with a schedule, nothing is
    measured."""

    engine: "str | EngineFactory | None"
    """How states are moved to the file: "mpi" (nonblocking MPI I/O), "thread" (a transfer thread),
    "direct" (a transfer thread that bypasses the page cache), or a function of (comm, placement)
    that returns an `adjoint.storage.engines.base.Engine`. Default: the fastest as measured; "mpi"
    only with MPICH, whose errors are survived in any case."""

    transfer_deadline: float | None
    """Seconds after which a write or a read of a state that has not ended is given up: the run then
    goes on without the states in the file, and without that engine. Default: the environment
    variable `ADJOINT_TRANSFER_DEADLINE`, else 60 seconds, 50 times the slowest transfer so far, or
    what a state takes at 10 MB/s, whichever is longest."""

    file_per_node: bool
    """Make one file for the ranks of each node, where a single one would be the bottleneck: `file`
    with the number of the node's first rank in its name, in a folder that may be local to the
    node. Default False."""

    resume: bool
    """Continue the run that left `file` when it was killed or interrupted, in either sweep. It must
    be a run of the same problem on as many ranks. If its controls or the data that the stepper
    holds were others, or there is no such file, the evaluation begins afresh: so a script can
    always pass True. docs/long_runs.md says what is compared. Default False."""

    overwrite: bool
    """Replace a snapshot file of this user that is of another problem: of another number of steps,
    another grid. Any other file is refused nevertheless. Default False: such a file is refused."""

    max_lost_share: float
    """The largest share of the time of a run so far that is lost if it is killed, between 0 and 1.
    The journal is written as often as that takes, but in at most half a per cent of the time.
    Default 0.05."""

    check_replays: bool
    """Whether to compare, by hashes, what steps give that are taken again with what they gave the
    first time, and to raise `ReplayError` if it differs. A stepper with ``reproducible = False`` is
    not compared. Default True."""

    progress: bool
    """Whether to show a progress bar on rank 0. Default False."""

    trace: str | os.PathLike[str] | None
    """A file for the timeline of every rank, in the trace-event format that Perfetto opens. Each
    gradient overwrites it; `Functional.timeline` has this rank's part too. It is refused at once if
    it cannot be written; if that fails later, it is logged."""


def require_known(names: Iterable[str], function: str) -> None:
    """Raise `TypeError` unless all are names of options, as a call with a wrong keyword does."""
    known = sorted(RunOptions.__annotations__)
    for name in names:
        if name not in known:
            raise TypeError(
                f"{function}() got an unexpected keyword argument {name!r}: "
                f"the options are {', '.join(known)}"
            )


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run, parsed. Those of `RunOptions` but for the communicator."""

    memory_bytes: int | None
    """None for this rank's part of one in `constants.DEFAULT_MEMORY_SHARE` of the memory."""
    file: str | None
    disk_bytes: int | None
    """None for no limit."""
    schedule: Schedule | None
    engine: "str | EngineFactory | None"
    transfer_deadline: float | None
    """None for the rule in `adjoint.storage.engines.deadline`."""
    file_per_node: bool
    resume: bool
    overwrite: bool
    max_lost_share: float
    check_replays: bool
    progress: bool
    trace: str | None

    def compared(self) -> dict[str, Any]:
        """Return what must be the same on all ranks, by the names in `RunOptions`."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        del own["progress"]
        return {"memory": own.pop("memory_bytes"), "disk": own.pop("disk_bytes"), **own}

    @classmethod
    def parse(cls, given: RunOptions, comm: Communicator) -> "Options":
        """Return the options, checked on this rank. Not collective.

        Raises
        ------
        ArgumentError
            A value that cannot be used, or two that contradict each other.
        """
        schedule = given.get("schedule")
        options = cls(
            memory_bytes=_size("memory", given.get("memory")),
            file=_path("file", given.get("file")),
            disk_bytes=_size("disk", given.get("disk")),
            schedule=None if schedule is None else require_schedule(schedule),
            engine=given.get("engine"),
            transfer_deadline=parse_deadline(given.get("transfer_deadline")),
            file_per_node=_switch("file_per_node", given.get("file_per_node", False)),
            resume=_switch("resume", given.get("resume", False)),
            overwrite=_switch("overwrite", given.get("overwrite", False)),
            max_lost_share=_share("max_lost_share", given.get("max_lost_share")),
            check_replays=_switch("check_replays", given.get("check_replays", True)),
            progress=_switch("progress", given.get("progress", False)),
            trace=_path("trace", given.get("trace")),
        )
        if options.engine is not None:
            require_engine(options.engine, comm)
        if options.disk_bytes is not None and options.file is None:
            raise ArgumentError("disk= limits the size of file=, which is not given")
        if options.resume and (options.file is None or os.path.isdir(options.file)):
            raise ArgumentError("resume=True needs file=: the path of the file to resume from")
        named = [os.path.realpath(path) for path in (options.file, options.trace) if path]
        if len(set(named)) < len(named):
            raise ArgumentError(f"trace= and file= both name {options.file}: give two files")
        return options


def _path(name: str, given: object) -> str | None:
    if given is None:
        return None
    try:
        path = os.fsdecode(cast(str, given))
        is_name = path != "" and b"\0" not in os.fsencode(path)
    except (TypeError, UnicodeError):
        path, is_name = "", False
    if not is_name:
        raise ArgumentError(f"{name}={short_repr(given)}: give the path of a file, as text")
    return path


def _size(name: str, given: Any) -> int | None:
    try:
        return None if given is None else parse_bytes(given)
    except ArgumentError as error:
        raise ArgumentError(f"{name}: {error}") from None


def _switch(name: str, given: object) -> bool:
    """Return a bool, from NumPy's or from 0 or 1; text that says "no" would count as true."""
    if isinstance(given, int | np.integer | np.bool_) and given in {0, 1}:
        return bool(given)
    raise ArgumentError(f"{name}={short_repr(given)}: give True or False")


def _share(name: str, given: object) -> float:
    try:
        share = DEFAULT_MAX_LOST_SHARE if given is None else float(cast(float, given))
    except (TypeError, ValueError, OverflowError):
        share = math.nan
    if not 0 < share < 1:
        raise ArgumentError(f"{name}={short_repr(given)}: it must be a number between 0 and 1")
    return share
