"""Schedules: in what order to advance, record and pull back, and which states to keep.

One family a file; `schedule` is the seam that they all fit.
"""

from adjoint.schedules.asynchronous import Asynchronous
from adjoint.schedules.disk_revolve import DiskRevolve
from adjoint.schedules.h_revolve import HRevolve
from adjoint.schedules.mixed import Mixed
from adjoint.schedules.multistage import Multistage
from adjoint.schedules.online import Online
from adjoint.schedules.periodic import Periodic
from adjoint.schedules.protocol import Schedule, SteeredStream, num_leaves
from adjoint.schedules.revolve import Revolve
from adjoint.schedules.situation import Situation
from adjoint.schedules.spilling.fallback import fallback_schedule
from adjoint.schedules.spilling.schedule import Spilling
from adjoint.schedules.store_all import StoreAll

__all__ = [
    "Asynchronous",
    "DiskRevolve",
    "HRevolve",
    "Mixed",
    "Multistage",
    "Online",
    "Periodic",
    "Revolve",
    "Schedule",
    "Situation",
    "Spilling",
    "SteeredStream",
    "StoreAll",
    "fallback_schedule",
    "num_leaves",
]
