"""Tests of a gradient that anyone can run on a stepper of their own. Print what they return.

`taylor_test`
    The gradient against differences of the cost, in each control and in the initial state. It tests
    stepper, schedule and file together, as the functional uses them.
`dot_product_test`
    ``<w, F'(x) d> = <F'(x)^T w, d>`` for random ``w`` and ``d``: the derivatives of each step, its
    cost, the terminal cost and the initial state. It tests the stepper alone.
`bitwise_test`
    The gradient under the functional's schedule has the same bits as with the start of every leaf
    kept in memory.
`second_order_test`
    Hessian products against differences of the gradient, their symmetry, and the identities that
    right second derivatives have.
`replay_test`
    Steps taken again give the same bits, however they are grouped: checkpointing relies on it.
    The first step that differs is named.

The first two compare with central differences, extrapolated, whose error they estimate
(truncation, and the round-off that they measure). A derivative is *wrong* if it is further off than
five such errors. If the error is too large to say so (see `Comparison`), the verdict is *cannot
tell*, with the reason; the test has then not passed. Steps and accuracies follow from the dtypes of
states and controls: half of their digits are aimed at, and a quarter are needed.
"""

from adjoint.verification.bitwise import BitwiseResult, bitwise_test
from adjoint.verification.dot_product import DotProductResult, dot_product_test
from adjoint.verification.replay import ReplayResult, replay_test
from adjoint.verification.second_order import SecondOrderResult, second_order_test
from adjoint.verification.taylor import TaylorResult, taylor_test
from adjoint.verification.verdicts import Comparison, Verdict

__all__ = [
    "BitwiseResult",
    "Comparison",
    "DotProductResult",
    "ReplayResult",
    "SecondOrderResult",
    "TaylorResult",
    "Verdict",
    "bitwise_test",
    "dot_product_test",
    "replay_test",
    "second_order_test",
    "taylor_test",
]
