"""Which schedule to play: costs and budgets in, the best schedule out. Pure."""

from adjoint.planning.budget import Budget
from adjoint.planning.planner import Plan, choose, compare
from adjoint.planning.prediction import Prediction

__all__ = ["Budget", "Plan", "Prediction", "choose", "compare"]
