"""Schedules: in what order to advance, record and pull back, and which states to keep.

Each family has a file; `protocol` defines what all of them have in common, `actions` what they
consist of.
"""

from adjoint.schedules import actions
from adjoint.schedules.asynchronous import Asynchronous
from adjoint.schedules.costs import Costs
from adjoint.schedules.disk_revolve import DiskRevolve
from adjoint.schedules.h_revolve import HRevolve
from adjoint.schedules.mixed import Mixed
from adjoint.schedules.multistage import Multistage
from adjoint.schedules.online import Online
from adjoint.schedules.periodic import Periodic
from adjoint.schedules.protocol import (
    AdaptiveSchedule,
    AdaptiveStream,
    FixedStream,
    ResumePoint,
    Schedule,
    describe,
    num_leaves,
    require_schedule,
    stream_of,
)
from adjoint.schedules.revolve import Revolve
from adjoint.schedules.spilling.fallback import fallback_schedule
from adjoint.schedules.spilling.schedule import Spilling
from adjoint.schedules.store_all import StoreAll
from adjoint.schedules.tapes_in_file.schedule import TapesInFile

__all__ = [
    "AdaptiveSchedule",
    "AdaptiveStream",
    "Asynchronous",
    "Costs",
    "DiskRevolve",
    "FixedStream",
    "HRevolve",
    "Mixed",
    "Multistage",
    "Online",
    "Periodic",
    "ResumePoint",
    "Revolve",
    "Schedule",
    "Spilling",
    "StoreAll",
    "TapesInFile",
    "actions",
    "describe",
    "fallback_schedule",
    "num_leaves",
    "require_schedule",
    "stream_of",
]
