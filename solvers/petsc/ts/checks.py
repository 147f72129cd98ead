"""Checks that PETSc can reverse a TS, made before anything is computed.

PETSc's adjoint steps check little themselves: several of the omissions refused here would end in a
segmentation fault or in a wrong gradient.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, StepperError
from solvers.petsc.integrators import ksp_snes
from solvers.petsc.library import POINTER, PETSc, call

__all__ = [
    "check_quadrature",
    "check_ts",
    "check_vectors",
    "is_reproducible",
    "may_reject",
    "scheme",
]

TS = Any
Vec = Any

INSTEAD = "the integrators of solvers.petsc have their own adjoints"

TYPES = ("rk", "theta", "beuler", "cn")
"""Types whose adjoint step is correct, with quadratures and parameters."""

RIGHT_WITHOUT_WEIGHT = (3, 22)
"""PETSc version from which parameter gradients are correct for methods with a stage of weight
zero."""

WEIGHTED = ("1fe", "2a", "3", "3bs", "4")
"""Runge-Kutta methods without a stage of weight zero, apart from one reused by the next step."""

DIFFERENCES = ("snes_fd", "snes_fd_color")
"""Options for a Jacobian by finite differences."""

VECTORS = ("seq", "mpi", "shared")
"""Vector types that are one array in this rank's memory."""


def check_ts(ts: TS, *, parameters: bool, lacks: bool) -> None:
    """Refuse a TS that PETSc cannot reverse correctly; `lacks` is its `lacks_jacobian`.

    Raises
    ------
    StepperError
        Its type has no adjoint; it has events or a time span, or no Jacobian; or this PETSc version
        computes wrong parameter gradients for it.
    """
    if np.dtype(PETSc.ScalarType).kind == "c":
        raise StepperError("this PETSc is built for complex numbers: use a build for real numbers")
    _check_type(ts, parameters=parameters)
    if any(name in ts.getDict() for name in ("__eventhandler__", "__indicator__")):
        raise StepperError(
            "the TS has events, whose effect PETSc leaves out of the gradient: end the run at the "
            "event, or make it a smooth part of the right-hand side"
        )
    if len(ts.getTimeSpan()):
        raise StepperError(
            "the TS has a time span (-ts_time_span): remove it, and add the cost at these times by "
            "step_cost"
        )
    prefix = ts.getOptionsPrefix() or ""
    for option in ("ts_adjoint_solve", "ts_theta_initial_guess_extrapolate"):
        if _flag(prefix, option):
            raise StepperError(
                f"remove the option -{prefix}{option}: it does not apply to single steps"
            )
    if ts.getType() == "rk":
        if ts.getRHSJacobian()[2] is None:
            _colour(ts, prefix)
    elif lacks and not any(_flag(prefix, f) for f in DIFFERENCES):
        raise StepperError(
            "the TS has no Jacobian of its right-hand side, which PETSc would leave out of the "
            f"adjoint step: call ts.setRHSJacobian, or set -{prefix}snes_fd, or with a DM "
            f"-{prefix}snes_fd_color, for one by differences, with an error of about 1e-7"
        )


def check_quadrature(ts: TS, *, parameters: bool) -> None:
    """Refuse a quadrature that lacks derivatives: the adjoint step would use them unchecked."""
    forward, quadrature = ts.getQuadratureTS()
    if not quadrature:
        return
    if not forward:
        raise StepperError("create the quadrature by ts.createQuadratureTS(forward=True)")
    if quadrature.getDict().get("__rhsjacobian__") is None:
        raise StepperError("the quadrature TS has no derivative: call its setRHSJacobian")
    _give_both_matrices(quadrature)
    if parameters and quadrature.getDict().get("__rhsjacobianp__") is None:
        raise StepperError(
            "the quadrature TS has no derivative with respect to the parameters: call its "
            "setRHSJacobianP, with a matrix of zeros if there is none"
        )


def check_vectors(ts: TS, u: Vec, parameters: Vec | NDArray[Any] | None) -> None:
    """Raise `ArgumentError` if vectors have the wrong type or layout, or are on other ranks."""
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
                f"type {' or '.join(map(repr, VECTORS[:2]))}"
            )
        if (vector.comm.size, vector.comm.rank) != (ts.comm.size, ts.comm.rank):
            raise ArgumentError(
                f"{name} is on {vector.comm.size} ranks and the TS on {ts.comm.size}: create both "
                "on the same communicator"
            )
    for kind, get in (("__rhsfunction__", ts.getRHSFunction), ("__ifunction__", ts.getIFunction)):
        if ts.getDict().get(kind) is None or get()[0].getSizes() == u.getSizes():
            continue
        like = get()[0]
        raise ArgumentError(
            f"u has size {u.getSize()}, {u.getLocalSize()} on rank {u.comm.rank}, but the function "
            f"of the TS has size {like.getSize()}, {like.getLocalSize()} there"
        )


def scheme(ts: TS) -> tuple[Any, ...]:
    """Return the type of a TS and what else determines its stages."""
    kind = ts.getType()
    if kind == "rk":
        return kind, ts.getRKType()
    return (kind, ts.getTheta(), ts.getThetaEndpoint()) if kind in TYPES else (kind,)


def may_reject(ts: TS) -> bool:
    """Return whether steps may be rejected: not by Runge-Kutta methods with fixed steps."""
    options = PETSc.Options(ts.getOptionsPrefix() or "")
    return ts.getType() != "rk" or options.getString("ts_adapt_type", "basic") != "none"


def is_reproducible(ts: TS) -> bool:
    """Return whether steps repeat bit for bit: see `ksp_snes.is_reproducible`."""
    if ts.getType() == "rk":
        return True
    prefix, snes = ts.getOptionsPrefix() or "", ts.getSNES()
    if ts.getThetaEndpoint() and any(_flag(prefix, name) for name in DIFFERENCES):
        return False  # the differences at the beginning of a step depend on the schedule
    return ksp_snes.is_reproducible(snes.getKSP(), snes)


class _BothMatrices:
    """A Jacobian callback that is given a valid second matrix.

    The adjoint step calls the callback of a quadrature with the null matrix in place of the second
    one, which callbacks usually write; PETSc then dies of a segmentation fault.
    """

    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def __call__(
        self, ts: TS, time: float, u: Vec, first: Any, second: Any, *rest: Any, **more: Any
    ):
        return self._callback(ts, time, u, first, second or first, *rest, **more)


def _give_both_matrices(quadrature: TS) -> None:
    first, second, (callback, arguments, keywords) = quadrature.getRHSJacobian()
    if not isinstance(callback, _BothMatrices):
        wrapped = _BothMatrices(callback)
        quadrature.setRHSJacobian(wrapped, first, second, arguments, keywords)


def _check_type(ts: TS, *, parameters: bool) -> None:
    kind = ts.getType()
    if kind not in TYPES:
        raise StepperError(
            f"a TS of type {kind!r} has no adjoint that is known to be correct; those of type "
            f"{', '.join(TYPES)} have, and {INSTEAD}"
        )
    if kind != "rk" or not parameters:
        return
    method, version = ts.getRKType(), PETSc.Sys.getVersion()
    if method not in WEIGHTED and version[:2] < RIGHT_WITHOUT_WEIGHT:
        raise StepperError(
            f"PETSc {'.'.join(map(str, version))} computes wrong parameter gradients for "
            f"{method!r}, which has a stage of weight zero: use one of {', '.join(WEIGHTED)}, or "
            f"PETSc {'.'.join(map(str, RIGHT_WITHOUT_WEIGHT))}, or solvers.petsc.RungeKutta"
        )


def _check_array(parameters: Any) -> None:
    if not isinstance(parameters, np.ndarray):
        raise ArgumentError(
            f"parameters must be a petsc4py Vec or a NumPy array, not {type(parameters).__name__}"
        )
    flags = parameters.flags
    if parameters.ndim != 1 or not (flags.c_contiguous and flags.writeable):
        raise ArgumentError(
            "parameters must be a one-dimensional, contiguous and writeable array: its shape is "
            f"{parameters.shape}"
        )
    if parameters.dtype != PETSc.ScalarType:
        raise ArgumentError(
            f"parameters must have dtype {np.dtype(PETSc.ScalarType)}, not {parameters.dtype}"
        )


def _colour(ts: TS, prefix: str) -> None:
    """Have PETSc make the Jacobian by coloured differences, if an option asks for that."""
    if not _flag(prefix, "snes_fd_color"):
        raise StepperError(
            "the TS has no Jacobian of its right-hand side: call ts.setRHSJacobian or, with a DM, "
            f"set the option -{prefix}snes_fd_color for one by coloured differences, with an error "
            "of about 1e-7"
        )
    ts.getSNES().setFromOptions()


def lacks_jacobian(ts: TS) -> bool:
    """Return whether there is a right-hand side, in Python or not, without a Jacobian.

    Collective: PETSc makes the objects that hold them when it is first asked.
    """
    function, jacobian = POINTER(), POINTER()
    call("TSGetRHSFunction", ts.handle, None, ctypes.byref(function), None)
    call("TSGetRHSJacobian", ts.handle, None, None, ctypes.byref(jacobian), None)
    return bool(function) and not jacobian


def _flag(prefix: str, option: str) -> bool:
    return PETSc.Options(prefix).getBool(option, False)
