"""What of a TS can be reversed: looked at before anything is computed.

PETSc's adjoint steps take much on trust: several of the omissions refused here end in a
segmentation fault or, worse, in a gradient that is wrong.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from adjoint.errors import ArgumentError, StepperError

__all__ = ["check_quadrature", "check_ts", "check_vectors", "is_reproducible", "may_reject"]

TS = Any
Vec = Any

INSTEAD = "the integrators of solvers.petsc have adjoints of their own"

TYPES = ("rk", "theta", "beuler", "cn")
"""The types whose adjoint step is right, with their quadratures and parameters."""

RIGHT_WITHOUT_WEIGHT = (3, 22)
"""The PETSc since which parameter gradients are right in methods with a stage of weight zero."""

WEIGHTED = ("1fe", "2a", "3", "3bs", "4")
"""Runge-Kutta methods all of whose stages have a weight, but for one that is carried over."""

VECTORS = ("seq", "mpi", "shared")
"""Types of vectors that are one array in this rank's memory."""


def check_ts(ts: TS, *, parameters: bool) -> None:
    """Refuse a TS that cannot be reversed, or not rightly.

    Raises
    ------
    StepperError
        It has a type without an adjoint, events, observation times, a hidden Jacobian, or wants
        parameter gradients that this PETSc gets wrong.
    """
    if np.dtype(PETSc.ScalarType).kind == "c":
        raise StepperError("this PETSc is built for complex numbers: use one for real numbers")
    _check_type(ts, parameters=parameters)
    if any(name in ts.getDict() for name in ("__eventhandler__", "__indicator__")):
        raise StepperError(
            "the TS has events, whose effect on the gradient PETSc does not reckon: end the run at "
            "the event, or smooth it into the right-hand side"
        )
    if len(ts.getTimeSpan()):
        raise StepperError(
            "the TS has a time span (-ts_time_span): leave it out, and give a cost at these times "
            "as step_cost"
        )
    prefix = ts.getOptionsPrefix() or ""
    for option in ("ts_adjoint_solve", "ts_theta_initial_guess_extrapolate"):
        if _flag(prefix, option):
            raise StepperError(
                f"leave out the option -{prefix}{option}: steps are taken one by one"
            )
    if ts.getType() == "rk" and ts.getRHSJacobian()[2] is None:
        _colour(ts, prefix)


def check_quadrature(ts: TS, *, parameters: bool) -> None:
    """Refuse a quadrature without the derivatives that the adjoint step takes for granted."""
    forward, quadrature = ts.getQuadratureTS()
    if not quadrature:
        return
    if not forward:
        raise StepperError("make the quadrature with ts.createQuadratureTS(forward=True)")
    if quadrature.getDict().get("__rhsjacobian__") is None:
        raise StepperError("the quadrature TS has no derivative: call its setRHSJacobian")
    if parameters and quadrature.getDict().get("__rhsjacobianp__") is None:
        raise StepperError(
            "the quadrature TS has no derivative with respect to the parameters: call its "
            "setRHSJacobianP, with a matrix of zeros if there is none"
        )


def check_vectors(ts: TS, u: Vec, parameters: Vec | NDArray[Any] | None) -> None:
    """Refuse vectors of the wrong kind, or on other ranks than the TS.

    Raises
    ------
    ArgumentError
        With what is wrong.
    """
    vectors = {"u": u}
    if isinstance(parameters, PETSc.Vec):
        vectors["parameters"] = parameters
    elif parameters is not None:
        _check_array(parameters)
    for name, vector in vectors.items():
        if not isinstance(vector, PETSc.Vec) or not vector:
            raise ArgumentError(f"{name} must be a petsc4py Vec, not {type(vector).__name__}")
        if vector.getType() not in VECTORS:
            raise ArgumentError(
                f"{name} is a Vec of type {vector.getType()!r}: it must be one array in memory, of "
                f"type {' or '.join(VECTORS[:2])!r}"
            )
        if (vector.comm.size, vector.comm.rank) != (ts.comm.size, ts.comm.rank):
            raise ArgumentError(
                f"{name} is on {vector.comm.size} ranks and the TS on {ts.comm.size}: make both on "
                "the same communicator"
            )
    for kind, get in (("__rhsfunction__", ts.getRHSFunction), ("__ifunction__", ts.getIFunction)):
        if ts.getDict().get(kind) is None or get()[0].getSizes() == u.getSizes():
            continue
        like = get()[0]
        raise ArgumentError(
            f"u is of size {u.getSize()}, {u.getLocalSize()} on rank {u.comm.rank}; the function "
            f"of the TS is of size {like.getSize()}, {like.getLocalSize()} there"
        )


def may_reject(ts: TS) -> bool:
    """Return whether an attempt at a step may be rejected: not with Runge-Kutta and fixed steps."""
    options = PETSc.Options(ts.getOptionsPrefix() or "")
    return ts.getType() != "rk" or options.getString("ts_adapt_type", "basic") != "none"


def is_reproducible(ts: TS) -> bool:
    """Return whether solvers begin from nothing in every step: else replay has other bits."""
    if ts.getType() == "rk":
        return True
    prefix = ts.getOptionsPrefix() or ""
    options = PETSc.Options(prefix)
    persisting = ("snes_lag_jacobian_persists", "snes_lag_preconditioner_persists")
    if options.hasName("ksp_guess_type") or any(_flag(prefix, name) for name in persisting):
        return False
    return not ts.getSNES().getKSP().getInitialGuessNonzero()


def _check_type(ts: TS, *, parameters: bool) -> None:
    kind = ts.getType()
    if kind not in TYPES:
        raise StepperError(
            f"a TS of type {kind!r} has no adjoint that can be trusted: {', '.join(TYPES)} have. "
            f"{INSTEAD}"
        )
    if kind != "rk" or not parameters:
        return
    method, version = ts.getRKType(), PETSc.Sys.getVersion()
    if method not in WEIGHTED and version[:2] < RIGHT_WITHOUT_WEIGHT:
        raise StepperError(
            f"PETSc {'.'.join(map(str, version))} gives wrong parameter gradients for {method!r}, "
            f"which has a stage of weight zero: take one of {', '.join(WEIGHTED)} or PETSc "
            f"{'.'.join(map(str, RIGHT_WITHOUT_WEIGHT))}; "
            "or RungeKutta of solvers.petsc, which is right"
        )


def _check_array(parameters: Any) -> None:
    if not isinstance(parameters, np.ndarray):
        raise ArgumentError(
            f"parameters must be a petsc4py Vec or a NumPy array, not {type(parameters).__name__}"
        )
    flags = parameters.flags
    if parameters.ndim != 1 or not (flags.c_contiguous and flags.writeable):
        raise ArgumentError(
            f"parameters must be one-dimensional, contiguous and writeable, not {parameters.shape}"
        )
    if parameters.dtype != PETSc.ScalarType:
        raise ArgumentError(
            f"parameters must be {np.dtype(PETSc.ScalarType)}, not {parameters.dtype}"
        )


def _colour(ts: TS, prefix: str) -> None:
    """Have a Runge-Kutta method's Jacobian made by differences, where that was asked for."""
    if not _flag(prefix, "snes_fd_color"):
        raise StepperError(
            "the TS has no Jacobian of its right-hand side: call ts.setRHSJacobian, or, with a DM, "
            f"give the option -{prefix}snes_fd_color for one by coloured differences, which are "
            "right to about 1e-7"
        )
    ts.getSNES().setFromOptions()


def _flag(prefix: str, option: str) -> bool:
    return PETSc.Options(prefix).getBool(option, False)
