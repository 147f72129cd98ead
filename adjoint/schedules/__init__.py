"""Schedules: in what order to advance, record and pull back, and which states to keep.

One family a file; `schedule` is the seam that they all fit.
"""

from adjoint.schedules.asynchronous import Asynchronous
from adjoint.schedules.revolve import Revolve
from adjoint.schedules.schedule import Schedule, SteeredStream, num_leaves
from adjoint.schedules.store_all import StoreAll

__all__ = ["Asynchronous", "Revolve", "Schedule", "SteeredStream", "StoreAll", "num_leaves"]
