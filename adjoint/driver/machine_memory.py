"""How much memory this process may use by default: its part of what this node, or a limit, allows.

A container or a batch job may use less than its machine has. The limits are those of control groups
(`memory.max` and `memory.high`, or `memory.limit_in_bytes` of version 1), each of which holds for a
group and all groups in it, and those of Slurm, in MiB.
"""

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from adjoint.parallel import Communicator
from adjoint.parallel.launcher import ranks_on_this_node

__all__ = ["memory_per_rank"]

GROUPS = "/proc/self/cgroup"
"""Lines of ``number:controllers:path``; there are no controllers in version 2."""

ROOT = "/sys/fs/cgroup"


def memory_per_rank(comm: Communicator) -> int:
    """Return the bytes that the ranks on this node may use, divided by their number. Collective.

    Ranks that the launcher has started for other communicators count as well.
    """
    node = comm.on_this_node()
    try:
        ranks = max(node.size, ranks_on_this_node())
    finally:
        node.free()
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_group_limits(), *_slurm_limits()]) // ranks


def _group_limits() -> Iterator[int]:
    """Yield the limits of the control groups that this process is in."""
    for line in _text(GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = f"{ROOT}/memory" if controllers else ROOT
        names = ("memory.limit_in_bytes",) if controllers else ("memory.max", "memory.high")
        group = PurePosixPath(path)
        for each in (group, *group.parents):
            for name in names:
                limit = _text(f"{root}/{each.as_posix().strip('/')}/{name}").strip()
                if limit.isdecimal():
                    yield int(limit)


def _slurm_limits() -> Iterator[int]:
    """Yield the limits of the batch job on this node; Slurm's 0 is the whole machine."""
    per_node = os.environ.get("SLURM_MEM_PER_NODE", "")
    if per_node.isdecimal() and int(per_node):
        yield int(per_node) << 20
    per_core, cores = (os.environ.get(f"SLURM_{n}", "") for n in ("MEM_PER_CPU", "CPUS_ON_NODE"))
    if per_core.isdecimal() and cores.isdecimal() and int(per_core) * int(cores):
        yield int(per_core) * int(cores) << 20


def _text(path: str) -> str:
    """Return what is in a file of the system; nothing if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
