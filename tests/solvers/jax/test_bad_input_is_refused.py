"""Wrong arguments are refused with an error that says what is wrong and, if it can, the step."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import solvers.jax  # noqa: E402
from adjoint.errors import ArgumentError, StepperError  # noqa: E402

XS = np.ones((20, 2), np.float32)
CARRY0 = np.zeros(2, np.float32)


def body(params, carry, x):
    return params * carry + x, carry


def loss(params, y):
    return jnp.sum(y)


def call(body=body, loss=loss, *, given=(0.5, CARRY0, XS), argnums=0, leaf_steps=8, **call_options):
    with solvers.jax.value_and_grad(
        body, loss, argnums=argnums, leaf_steps=leaf_steps
    ) as value_and_grad:
        return value_and_grad(*given, **call_options)


def test_arguments_of_value_and_grad():
    with pytest.raises(ArgumentError, match="nothing to differentiate"):
        call(loss=None)
    with pytest.raises(ArgumentError, match="leaf_steps=0"):
        call(leaf_steps=0)
    with pytest.raises(ArgumentError, match=r"argnums=\(0, 7\): .* params, carry0, xs, targets"):
        call(argnums=(0, 7))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda params, c, x: (c[:1], c), r"shape"),
        (lambda params, c, x: (c.astype(jnp.float16), c), "float16"),
        (lambda params, c, x: ((c, c), c), "structure|tree"),
        (lambda params, c, x: c[0], "pair"),
    ],
    ids=["shape", "dtype", "structure", "no pair"],
)
def test_a_carry_that_changes(changed, message):
    with pytest.raises(StepperError, match=r"step 0: the body must return a pair") as caught:
        call(changed)
    assert caught.match(message)


def test_an_error_in_the_body_is_raised_as_by_jax():
    with pytest.raises(TypeError, match="dot_general") as caught:
        call(lambda params, carry, x: (carry @ jnp.ones((3, 2)), carry))
    assert not isinstance(caught.value, StepperError)


def test_losses():
    with pytest.raises(StepperError, match="the loss of step 0 has dtype int32"):
        call(loss=lambda params, y: 3)
    with pytest.raises(StepperError, match=r"shape \(\): with lengths, .* each of 2 sequences"):
        call(lengths=[3, 4])


def test_rows():
    short = XS[:15]
    with pytest.raises(ArgumentError, match="xs has 15 rows: there is none for step 15"):
        call(given=(0.5, CARRY0, short), length=20)
    with pytest.raises(ArgumentError, match="targets has 15 rows: there is none for step 15"):
        call(given=(0.5, CARRY0, XS, short))
    with pytest.raises(ArgumentError, match="give length="):
        call(given=(0.5, CARRY0, lambda start, stop: XS[start:stop]))
    with pytest.raises(ArgumentError, match="length=0"):
        call(length=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda rows: rows[:, :1], r"rows of shape \(1,\)"),
        (lambda rows: rows.astype(np.float16), "dtype float16"),
        (lambda rows: rows[1:], "its first axis must have 8 entries"),
        (
            lambda rows: [rows],
            r"structure PyTreeDef\(\[\*\]\); before, it was PyTreeDef\(\*\)",
        ),
    ],
    ids=["shape", "dtype", "number", "structure"],
)
def test_a_function_whose_rows_change(changed, message):
    def rows(start, stop):
        found = XS[start:stop]
        return changed(found) if start >= 8 else found

    with pytest.raises(StepperError, match=rf"xs for the steps \[8, 16\) .*{message}"):
        call(given=(0.5, CARRY0, rows), length=20)


def test_lengths():
    batched = {"loss": lambda params, y: y}
    with pytest.raises(ArgumentError, match="sequence 1 has 21 steps"):
        call(**batched, lengths=[3, 21], length=20)
    with pytest.raises(ArgumentError, match=r"carry has shape \(2,\), but lengths has 3 sequences"):
        call(**batched, lengths=[3, 4, 5])
    with pytest.raises(ArgumentError, match="lengths must be integers"):
        call(**batched, lengths=[3.5, 4])


def test_arguments_without_a_gradient():
    whole = 3, CARRY0, XS
    with pytest.raises(ArgumentError, match="argnums contains 0, but no leaf of params"):
        call(given=whole)
    with pytest.raises(ArgumentError, match=r"xs is a function, whose rows cannot have a gradient"):
        call(given=(0.5, CARRY0, lambda start, stop: XS[start:stop]), argnums=2, length=20)
    with pytest.raises(ArgumentError, match=r"params\['name'\] is of type str"):
        call(given=({"name": "cell"}, CARRY0, XS))


def test_too_little_memory_for_the_residuals_of_a_leaf():
    with (
        solvers.jax.value_and_grad(body, loss, leaf_steps=10, memory=64) as value_and_grad,
        pytest.raises(ArgumentError, match="the tape of 10 steps"),
    ):
        value_and_grad(0.5, CARRY0, XS)
