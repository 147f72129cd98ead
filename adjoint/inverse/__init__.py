"""Inverse problems on top of a `Functional`: unknowns, priors, searches, posteriors, ensembles.

The names are loaded, and SciPy with them, when they are first used.
"""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from adjoint.inverse.ensemble import Ensemble
    from adjoint.inverse.evaluation_log import EvaluationLog
    from adjoint.inverse.history import Evaluation, Found
    from adjoint.inverse.inner_products import Diagonal, Mass, Riesz
    from adjoint.inverse.inversion import Inversion
    from adjoint.inverse.posterior import LaplacePosterior, laplace
    from adjoint.inverse.terms import BiLaplacian, Gaussian, Tikhonov, TotalVariation
    from adjoint.inverse.transforms import Chain, Linear, Log, Logit
    from adjoint.inverse.variables import Unknown
    from adjoint.inverse.weights import LCurvePoint, l_curve

__all__ = [
    "BiLaplacian",
    "Chain",
    "Diagonal",
    "Ensemble",
    "Evaluation",
    "EvaluationLog",
    "Found",
    "Gaussian",
    "Inversion",
    "LCurvePoint",
    "LaplacePosterior",
    "Linear",
    "Log",
    "Logit",
    "Mass",
    "Riesz",
    "Tikhonov",
    "TotalVariation",
    "Unknown",
    "l_curve",
    "laplace",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "BiLaplacian": "terms",
        "Chain": "transforms",
        "Diagonal": "inner_products",
        "Ensemble": "ensemble",
        "Evaluation": "history",
        "EvaluationLog": "evaluation_log",
        "Found": "history",
        "Gaussian": "terms",
        "Inversion": "inversion",
        "LCurvePoint": "weights",
        "LaplacePosterior": "posterior",
        "Linear": "transforms",
        "Log": "transforms",
        "Logit": "transforms",
        "Mass": "inner_products",
        "Riesz": "inner_products",
        "Tikhonov": "terms",
        "TotalVariation": "terms",
        "Unknown": "variables",
        "l_curve": "weights",
        "laplace": "posterior",
    },
)
