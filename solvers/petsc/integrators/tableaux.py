"""Butcher tableaux of Runge-Kutta methods, explicit and diagonally implicit.

A method of ``s`` stages takes a step ``h`` of ``u' = f(t, u)`` by ::

    K_i = f(t + c_i h, u + h sum_j a_ij K_j)          u_next = u + h sum_i b_i K_i

It is explicit if ``a_ij = 0`` for ``j >= i``, and diagonally implicit if ``a_ij = 0`` for
``j > i``. It is *stiffly accurate* if the last row of ``a`` is ``b``: the last stage is then the
result. An *embedded* method is a second row of weights of another order; the difference of the two
results estimates the error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError

__all__ = [
    "BOGACKI_SHAMPINE_3",
    "DORMAND_PRINCE_5",
    "ESDIRK_3",
    "ESDIRK_4",
    "EULER",
    "FEHLBERG_5",
    "HEUN_2",
    "IMPLICIT_MIDPOINT",
    "MIDPOINT_2",
    "RUNGE_KUTTA_4",
    "SDIRK_2",
    "SDIRK_3",
    "SSP_2",
    "SSP_3",
    "SSP_4_3",
    "TABLEAUX",
    "TR_BDF2",
    "Tableau",
    "check_tableau",
    "one_leg",
]


@dataclass(frozen=True, slots=True, eq=False)
class Tableau:
    """The coefficients of one method.

    Raises
    ------
    ArgumentError
        Shapes are inconsistent, or a stage depends on a later one.
    """

    name: str
    a: NDArray[np.float64]
    """Lower triangular, one row per stage."""
    b: NDArray[np.float64]
    """Weights of the result."""
    c: NDArray[np.float64]
    """Row sums of ``a``: times of the stages, from 0 to 1 over a step."""
    order: int
    embedded: NDArray[np.float64] | None = None
    """Weights of an embedded method."""
    embedded_order: int = 0

    def __post_init__(self) -> None:
        stages = len(self.b)
        if self.a.shape != (stages, stages) or self.c.shape != (stages,):
            raise ArgumentError(
                f"tableau {self.name!r} has inconsistent shapes: a is {self.a.shape}, b "
                f"{self.b.shape}, c {self.c.shape}"
            )
        if np.triu(self.a, 1).any():
            raise ArgumentError(
                f"tableau {self.name!r} is fully implicit: a must be lower triangular"
            )

    @property
    def explicit(self) -> bool:
        """Whether all stages are explicit."""
        return not np.diag(self.a).any()

    @property
    def stiffly_accurate(self) -> bool:
        """Whether the result is the last stage, and that stage is implicit."""
        return bool(self.a[-1, -1] != 0 and np.array_equal(self.a[-1], self.b))

    @property
    def num_needed(self) -> int:
        """Number of stages that the result depends on: a last one may serve only the estimate."""
        used = np.nonzero(self.b)[0]
        return int(used[-1]) + 1


def _tableau(
    name: str,
    rows: Sequence[Sequence[Any]],
    b: ArrayLike,
    order: int,
    embedded: ArrayLike | None = None,
    embedded_order: int = 0,
) -> Tableau:
    """Return a tableau from the rows of ``a``, without trailing zeros."""
    stages = len(rows)
    a = np.zeros((stages, stages))
    for i, row in enumerate(rows):
        a[i, : len(row)] = [float(x) for x in row]
    weights = np.array([float(x) for x in np.asarray(b, dtype=object)])
    other = None
    if embedded is not None:
        other = np.array([float(x) for x in np.asarray(embedded, dtype=object)])
    return Tableau(name, a, weights, a.sum(axis=1), order, other, embedded_order)


def check_tableau(given: object) -> None:
    """Raise `ArgumentError` unless the argument is a tableau; it lists the known ones."""
    if not isinstance(given, Tableau):
        known = ", ".join(name for name in __all__ if name.isupper() and name != "TABLEAUX")
        raise ArgumentError(
            f"tableau must be a Tableau, not {given!r}: one of {known} of solvers.petsc.tableaux, "
            "or your own"
        )


def one_leg(theta: float) -> Tableau:
    """Return the one-leg theta method, PETSc's ``-ts_type theta`` without endpoint.

    Raises
    ------
    ArgumentError
        `theta` is not in (0, 1].
    """
    if not 0 < theta <= 1:
        raise ArgumentError(f"theta={theta}: must be above 0 and at most 1")
    return _tableau(f"one-leg theta {theta}", [[theta]], [1], 2 if theta == 0.5 else 1)


def _f(numerator: int, denominator: int) -> Fraction:
    return Fraction(numerator, denominator)


# -- explicit -------------------------------------------------------------------------------------

EULER = _tableau("Euler", [[]], [1], 1)
MIDPOINT_2 = _tableau("explicit midpoint", [[], [_f(1, 2)]], [0, 1], 2)
HEUN_2 = _tableau("Heun", [[], [1]], [_f(1, 2)] * 2, 2, [1, 0], 1)

RUNGE_KUTTA_4 = _tableau(
    "classical Runge-Kutta",
    [[], [_f(1, 2)], [0, _f(1, 2)], [0, 0, 1]],
    [_f(1, 6), _f(1, 3), _f(1, 3), _f(1, 6)],
    4,
)
"""Kutta 1901."""

SSP_2 = _tableau("SSP(2,2)", [[], [1]], [_f(1, 2)] * 2, 2)
SSP_3 = _tableau("SSP(3,3)", [[], [1], [_f(1, 4), _f(1, 4)]], [_f(1, 6), _f(1, 6), _f(2, 3)], 3)
"""Strong stability preserving, Shu and Osher 1988, doi:10.1016/0021-9991(88)90177-5."""

SSP_4_3 = _tableau(
    "SSP(4,3)",
    [[], [_f(1, 2)], [_f(1, 2)] * 2, [_f(1, 6)] * 3],
    [_f(1, 6)] * 3 + [_f(1, 2)],
    3,
)
"""Stable for twice the step of Euler's method, Spiteri and Ruuth 2002,
doi:10.1137/S0036142901389025."""

BOGACKI_SHAMPINE_3 = _tableau(
    "Bogacki-Shampine 3(2)",
    [[], [_f(1, 2)], [0, _f(3, 4)], [_f(2, 9), _f(1, 3), _f(4, 9)]],
    [_f(2, 9), _f(1, 3), _f(4, 9), 0],
    3,
    [_f(7, 24), _f(1, 4), _f(1, 3), _f(1, 8)],
    2,
)
"""Bogacki and Shampine 1989, doi:10.1016/0893-9659(89)90079-7. PETSc's 3bs."""

FEHLBERG_5 = _tableau(
    "Fehlberg 5(4)",
    [
        [],
        [_f(1, 4)],
        [_f(3, 32), _f(9, 32)],
        [_f(1932, 2197), _f(-7200, 2197), _f(7296, 2197)],
        [_f(439, 216), -8, _f(3680, 513), _f(-845, 4104)],
        [_f(-8, 27), 2, _f(-3544, 2565), _f(1859, 4104), _f(-11, 40)],
    ],
    [_f(16, 135), 0, _f(6656, 12825), _f(28561, 56430), _f(-9, 50), _f(2, 55)],
    5,
    [_f(25, 216), 0, _f(1408, 2565), _f(2197, 4104), _f(-1, 5), 0],
    4,
)
"""Fehlberg 1969, NASA TR R-315. PETSc's 5f."""

DORMAND_PRINCE_5 = _tableau(
    "Dormand-Prince 5(4)",
    [
        [],
        [_f(1, 5)],
        [_f(3, 40), _f(9, 40)],
        [_f(44, 45), _f(-56, 15), _f(32, 9)],
        [_f(19372, 6561), _f(-25360, 2187), _f(64448, 6561), _f(-212, 729)],
        [_f(9017, 3168), _f(-355, 33), _f(46732, 5247), _f(49, 176), _f(-5103, 18656)],
        [_f(35, 384), 0, _f(500, 1113), _f(125, 192), _f(-2187, 6784), _f(11, 84)],
    ],
    [_f(35, 384), 0, _f(500, 1113), _f(125, 192), _f(-2187, 6784), _f(11, 84), 0],
    5,
    [
        _f(5179, 57600),
        0,
        _f(7571, 16695),
        _f(393, 640),
        _f(-92097, 339200),
        _f(187, 2100),
        _f(1, 40),
    ],
    4,
)
"""Dormand and Prince 1980, doi:10.1016/0771-050X(80)90013-3. PETSc's 5dp."""

# -- diagonally implicit --------------------------------------------------------------------------

IMPLICIT_MIDPOINT = _tableau("implicit midpoint", [[_f(1, 2)]], [1], 2)

_G2 = 1 - 1 / sqrt(2)
SDIRK_2 = _tableau("SDIRK 2", [[_G2], [1 - _G2, _G2]], [1 - _G2, _G2], 2)
"""L-stable, Alexander 1977, doi:10.1137/0714068."""

_G3 = 0.43586652150845899942
_B3 = -(6 * _G3**2 - 16 * _G3 + 1) / 4
_C3 = (6 * _G3**2 - 20 * _G3 + 5) / 4
SDIRK_3 = _tableau("SDIRK 3", [[_G3], [(1 - _G3) / 2, _G3], [_B3, _C3, _G3]], [_B3, _C3, _G3], 3)
"""L-stable, Alexander 1977; the diagonal is the middle root of x^3 - 3 x^2 + 3/2 x - 1/6."""

_W, _D = sqrt(2) / 4, 1 - sqrt(2) / 2
TR_BDF2 = _tableau(
    "TR-BDF2",
    [[], [_D, _D], [_W, _W, _D]],
    [_W, _W, _D],
    2,
    [(1 - _W) / 3, (3 * _W + 1) / 3, _D / 3],
    3,
)
"""L-stable; Bank et al. 1985, doi:10.1109/T-ED.1985.22232, with the embedded method of Hosea and
Shampine 1996, doi:10.1016/0168-9274(95)00115-8."""

_K3 = _f(1767732205903, 4055673282236)
ESDIRK_3 = _tableau(
    "ESDIRK 3(2)",
    [
        [],
        [_K3, _K3],
        [_f(2746238789719, 10658868560708), _f(-640167445237, 6845629431997), _K3],
        [
            _f(1471266399579, 7840856788654),
            _f(-4482444167858, 7529755066697),
            _f(11266239266428, 11593286722821),
            _K3,
        ],
    ],
    [
        _f(1471266399579, 7840856788654),
        _f(-4482444167858, 7529755066697),
        _f(11266239266428, 11593286722821),
        _K3,
    ],
    3,
    [
        _f(2756255671327, 12835298489170),
        _f(-10771552573575, 22201958757719),
        _f(9247589265047, 10645013368117),
        _f(2193209047091, 5459859503100),
    ],
    2,
)
"""ARK3(2)4L[2]SA, the implicit part; Kennedy and Carpenter 2003,
doi:10.1016/S0168-9274(02)00138-1."""

_Q = _f(1, 4)
ESDIRK_4 = _tableau(
    "ESDIRK 4(3)",
    [
        [],
        [_Q, _Q],
        [_f(8611, 62500), _f(-1743, 31250), _Q],
        [_f(5012029, 34652500), _f(-654441, 2922500), _f(174375, 388108), _Q],
        [
            _f(15267082809, 155376265600),
            _f(-71443401, 120774400),
            _f(730878875, 902184768),
            _f(2285395, 8070912),
            _Q,
        ],
        [_f(82889, 524892), 0, _f(15625, 83664), _f(69875, 102672), _f(-2260, 8211), _Q],
    ],
    [_f(82889, 524892), 0, _f(15625, 83664), _f(69875, 102672), _f(-2260, 8211), _Q],
    4,
    [
        _f(4586570599, 29645900160),
        0,
        _f(178811875, 945068544),
        _f(814220225, 1159782912),
        _f(-3700637, 11593932),
        _f(61727, 225920),
    ],
    3,
)
"""ARK4(3)6L[2]SA, the implicit part; Kennedy and Carpenter 2003."""

TABLEAUX = (
    EULER,
    MIDPOINT_2,
    HEUN_2,
    SSP_2,
    SSP_3,
    SSP_4_3,
    RUNGE_KUTTA_4,
    BOGACKI_SHAMPINE_3,
    FEHLBERG_5,
    DORMAND_PRINCE_5,
    IMPLICIT_MIDPOINT,
    SDIRK_2,
    SDIRK_3,
    TR_BDF2,
    ESDIRK_3,
    ESDIRK_4,
)
"""All methods of this module, explicit ones first."""
