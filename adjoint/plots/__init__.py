"""Pictures of plans, schedules and recorded runs.

The functions are loaded, and matplotlib with them, when they are first used. No figure goes through
pyplot: none is shown or stays open.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adjoint.plots.canvas import check_picture_path, draw_timeline, save_figure
    from adjoint.plots.plan import draw_plans, plan_figure
    from adjoint.plots.schedule import draw_schedule
    from adjoint.plots.trace import trace_figure

__all__ = [
    "check_picture_path",
    "draw_plans",
    "draw_schedule",
    "draw_timeline",
    "plan_figure",
    "save_figure",
    "trace_figure",
]

_MODULES = {
    "check_picture_path": "canvas",
    "draw_plans": "plan",
    "draw_schedule": "schedule",
    "draw_timeline": "canvas",
    "plan_figure": "plan",
    "save_figure": "canvas",
    "trace_figure": "trace",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
