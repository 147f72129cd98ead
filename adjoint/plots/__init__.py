"""Pictures of plans, schedules, recorded runs, searches and posteriors.

The functions are loaded, and matplotlib with them, when they are first used. No figure goes through
pyplot: none is shown or stays open.
"""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from adjoint.plots.canvas import check_picture_path, draw_timeline, save_figure
    from adjoint.plots.inversion import draw_history, draw_posterior
    from adjoint.plots.plan import draw_plans, plan_figure
    from adjoint.plots.schedule import draw_schedule
    from adjoint.plots.trace import trace_figure

__all__ = [
    "check_picture_path",
    "draw_history",
    "draw_plans",
    "draw_posterior",
    "draw_schedule",
    "draw_timeline",
    "plan_figure",
    "save_figure",
    "trace_figure",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "check_picture_path": "canvas",
        "draw_history": "inversion",
        "draw_plans": "plan",
        "draw_posterior": "inversion",
        "draw_schedule": "schedule",
        "draw_timeline": "canvas",
        "plan_figure": "plan",
        "save_figure": "canvas",
        "trace_figure": "trace",
    },
)
