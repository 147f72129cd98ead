"""Second-order products of PyTorch models, by differentiating the gradient of each leaf again.

With ``x`` the first state, the inputs and the parameters of a leaf, ``v`` their tangents, ``w`` the
adjoint of its last state and ``w'`` that adjoint's tangent, autograd gives ``g = F'^T w + l'``, the
gradient of the leaf, as a function of ``x`` and ``w``. The derivatives of ``g . v`` are the rest:
by ``w`` the tangent ``F' v`` after the leaf, by ``x`` the curvature, to which ``F'^T w'`` is added.
So all that a model needs are second derivatives in reverse mode, which nearly all operators have.

For a Gauss-Newton product the model is linearised: the losses are differentiated twice by outputs
and parameters, and the result is pulled back through the model with ``w'``.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from adjoint.errors import StepperError
from adjoint.steppers import Arrays, copy_arrays
from adjoint.steppers.second_order import Direction, SecondOrderOfLeaves
from solvers.torch.graph import graph_before, without_hooks
from solvers.torch.leaf import Tape
from solvers.torch.trees import tensor_of

__all__ = ["SecondOrderUnroll"]

Tensors = list[Any]


class SecondOrderUnroll(SecondOrderOfLeaves):
    """Second-order products of a `TorchStepper`; parameters as for `SecondOrderOfLeaves`."""

    def __init__(
        self, inner: Any, directions: Mapping[str, Any], *, gauss_newton: bool = False
    ) -> None:
        if gauss_newton and not inner.runner.separates_losses:
            raise StepperError(
                "Gauss-Newton products need a loss of the model's outputs, and this model returns "
                "its own losses: give loss=, and let the cell return its output and its state"
            )
        self._model = inner
        super().__init__(inner, directions, gauss_newton=gauss_newton)

    def scratch_bytes(self, steps: int) -> int:
        """Return about what the graphs of a leaf and of its gradient take."""
        return 3 * self._model.tape_bytes(steps)

    def initial_tangent(self, direction: Direction, out: Arrays) -> None:
        """Write the tangent of the initial state to `out`."""
        given = self._model.batch.given
        for name, array in out.items():
            array[...] = direction.controls[name] if name in given else 0

    def advance_tangent(
        self, direction: Direction, start: int, stop: int, state: Arrays, tangent: Arrays
    ) -> None:
        """Take the tangent from `start` to `stop`, in place, given the state at `start`."""
        found = self._recorded(start, stop, state)
        if found is not None:
            tape, _, _ = found
            lasts = self._chosen(tape.lasts)
            with self._differentiating():
                after = _tangents(lasts, *self._variables(direction, tape, start, tangent))
            _write(after, tangent)

    def turn_tangent(self, direction: Direction, state: Arrays, tangent: Arrays) -> None:
        """Write the derivative of that of the final loss to `direction.adjoint`."""
        for array in direction.adjoint.values():
            array[...] = 0
        model = self._model
        if model.final_loss is not None:
            step = model.batch.num_steps
            self._restore(state)
            seed = int(state["seed"][0])
            tape = model.runner.record_end(model.final_loss, model.live, step, seed)
            with self._differentiating():
                variables, moved = self._variables(direction, tape, step, tangent)
                bent = _bent([tape.losses], [torch.ones_like(tape.losses)], variables, moved)
                found = _pulled(*bent, variables)
            self._add(direction, tape, step, found)

    def pull_back_tangent(
        self,
        direction: Direction,
        start: int,
        stop: int,
        state: Arrays,
        tangent: Arrays,
        adjoint: Arrays | None,
    ) -> None:
        """Take `direction.adjoint` from `stop` to `start`, and add to the direction's gradient."""
        found = self._recorded(start, stop, state)
        if found is None:
            return
        tape, detached, outputs = found
        lasts = self._chosen(tape.lasts)
        back = list(map(_tensor, direction.adjoint.values()))
        own: Tensors = []
        with self._differentiating():
            variables, moved = self._variables(direction, tape, start, tangent)
            if adjoint is not None:
                roots, vectors = lasts, list(map(_tensor, adjoint.values()))
                if tape.losses is not None:
                    roots, vectors = [*lasts, tape.losses], [*vectors, torch.ones_like(tape.losses)]
                bent, along = _bent(roots, vectors, variables, moved)
            elif tape.losses is None:
                bent, along = [], []
            else:
                along, own = self._of_losses(direction, tape, detached, outputs, (variables, moved))
                bent = outputs
            pulled = _pulled([*bent, *lasts], [*along, *back], variables)
        for array in direction.adjoint.values():
            array[...] = 0
        self._add(direction, tape, start, pulled)
        for name, gradient in zip(self._model.runner.parameters, own, strict=False):
            direction.gradient[name][...] += gradient.numpy()

    def finish_tangent(self, direction: Direction, adjoint: Arrays | None) -> None:
        """Add the tangent of the adjoint at step 0 to that of the gradient by the initial state."""
        del adjoint
        for name in self._model.batch.given:
            total = direction.gradient[name]
            total += direction.adjoint[name]

    # -- inside -------------------------------------------------------------------------------

    def _restore(self, state: Arrays) -> None:
        if state is not self._model.state:
            copy_arrays(state, self._model.state)

    def _recorded(self, start: int, stop: int, state: Arrays) -> Any:
        """Return the tape of a leaf and, for Gauss-Newton, outputs; None after all sequences."""
        model = self._model
        data = model.batch.read(start, stop)
        if data is None:
            return None
        self._restore(state)
        seed = int(state["seed"][0])
        if self.gauss_newton:
            return model.runner.record_outputs(data, model.live, seed)
        return model.runner.record(data, model.live, seed), [], []

    def _chosen(self, tensors: Tensors) -> Tensors:
        return [tensors[index] for index in self._model.runner.moving]

    def _variables(
        self, direction: Direction, tape: Tape, start: int, tangent: Arrays
    ) -> tuple[Tensors, Tensors]:
        """Return what a leaf depends on, and its tangents."""
        parameters, controls = self._model.runner.parameters, direction.controls
        moved = list(map(_tensor, tangent.values()))
        moved += [_tensor(controls[n][start : start + len(t)]) for n, t in tape.inputs.items()]
        moved += [_tensor(controls[name]) for name in parameters]
        return [*self._chosen(tape.firsts), *tape.inputs.values(), *parameters.values()], moved

    def _of_losses(
        self,
        direction: Direction,
        tape: Tape,
        detached: Tensors,
        outputs: Tensors,
        point: tuple[Tensors, Tensors],
    ) -> tuple[Tensors, Tensors]:
        """Return the second derivatives of the losses along tangents: by outputs, by parameters."""
        parameters = self._model.runner.parameters
        variables = [*detached, *parameters.values()]
        moved = _tangents(outputs, *point)
        moved += [_tensor(direction.controls[name]) for name in parameters]
        bent = _bent([tape.losses], [torch.ones_like(tape.losses)], variables, moved)
        found = [
            torch.zeros_like(variable) if gradient is None else gradient
            for variable, gradient in zip(variables, _pulled(*bent, variables), strict=True)
        ]
        return found[: len(detached)], found[len(detached) :]

    def _add(self, direction: Direction, tape: Tape, start: int, gradients: Tensors) -> None:
        """Make the tangent of the adjoint what was found; add the rest to the products."""
        rest = iter(gradients)
        for array in direction.adjoint.values():
            gradient = next(rest)
            array[...] = 0 if gradient is None else gradient.numpy()
        for name, leaf in tape.inputs.items():
            gradient = next(rest)
            if gradient is not None:
                direction.gradient[name][start : start + len(leaf)] += gradient.numpy()
        for name in self._model.runner.parameters:
            gradient = next(rest)
            if gradient is not None:
                direction.gradient[name][...] += gradient.numpy()

    @contextmanager
    def _differentiating(self) -> Generator[None, None, None]:
        parameters = self._model.runner.parameters.values()
        with torch.autocast("cpu", enabled=False), without_hooks(parameters):
            yield


def _tangents(roots: Tensors, variables: Tensors, moved: Tensors) -> Tensors:
    """Return the tangents of `roots`, by the transpose of the transposed derivative."""
    vectors = [torch.zeros_like(root, requires_grad=True) for root in roots]
    bent = _bent(roots, vectors, variables, moved)
    found = _pulled(*bent, vectors)
    return [
        torch.zeros_like(root) if tangent is None else tangent
        for root, tangent in zip(roots, found, strict=True)
    ]


def _bent(
    roots: Tensors, vectors: Tensors, variables: Tensors, moved: Tensors
) -> tuple[Tensors, Tensors]:
    """Return gradients of ``roots . vectors``, as functions, and the tangents to them."""
    linked = [(r, v) for r, v in zip(roots, vectors, strict=True) if r.requires_grad]
    if not linked:
        return [], []
    gradients = torch.autograd.grad(
        [r for r, _ in linked],
        variables,
        [v for _, v in linked],
        create_graph=True,
        allow_unused=True,
    )
    if graph_before([g for g in gradients if g is not None]).undifferentiable:
        raise StepperError(
            "an operator of the model has no second derivatives (marked with once_differentiable, "
            "or not implemented in torch): write it by operators that have. What torch runs "
            "through oneDNN in float32 may have them in float64, or under "
            "torch.backends.mkldnn.flags(enabled=False)"
        )
    pairs = [
        (gradient, tangent)
        for gradient, tangent in zip(gradients, moved, strict=True)
        if gradient is not None and gradient.requires_grad
    ]
    return [gradient for gradient, _ in pairs], [tangent for _, tangent in pairs]


def _pulled(roots: Tensors, vectors: Tensors, variables: Tensors) -> Tensors:
    """Return the gradients of ``roots . vectors``; None where nothing depends on a variable."""
    linked = [(r, v) for r, v in zip(roots, vectors, strict=True) if r.requires_grad]
    if not linked:
        return [None] * len(variables)
    return list(
        torch.autograd.grad(
            [r for r, _ in linked],
            variables,
            [v for _, v in linked],
            retain_graph=True,
            allow_unused=True,
        )
    )


def _tensor(array: Any) -> Any:
    return tensor_of(np.array(array))


def _write(tensors: Tensors, arrays: Arrays) -> None:
    for array, tensor in zip(arrays.values(), tensors, strict=True):
        array[...] = tensor.numpy()
