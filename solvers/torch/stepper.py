"""A PyTorch model as a stepper, whose tape is autograd's graph over one leaf.

The state has one array per tensor of the model's state, and the seed of the evaluation's
randomness. For one leaf (`solvers.torch.leaf`) autograd returns the adjoint of its first state and
its contribution to the gradient of the parameters: the same vector-Jacobian products as a backward
pass through the graph of the whole run, in the same order, apart from the sum over leaves.

Steps are advanced in the leaves in which they are recorded, because the round-off of a fused module
depends on the number of steps of a call.

The arrays of state, adjoint and controls share the memory of tensors. The accumulators are arrays
of their own, in float32 for parameters of 16 bits.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from adjoint.steppers import Arrays
from adjoint.steppers.second_order import SecondOrderOfLeaves
from solvers.torch.batch import Batch
from solvers.torch.leaf import LeafRunner, Tape, bits_of, other_results
from solvers.torch.modules import Modules
from solvers.torch.rows import LeafData
from solvers.torch.second_order import SecondOrderUnroll
from solvers.torch.trees import StateForm, Tree, array_of, is_differentiable
from solvers.torch.unroll import FusedUnroll, Unroll

__all__ = ["TorchStepper"]

USUAL_LEAF = 32
"""Steps of a leaf, unless another number is better. No more are examined before a run."""

SEED = "seed"
"""Name of the array of the state that holds the seed."""


class TorchStepper:
    """A model and a batch of sequences, as an `adjoint.Stepper`.

    Parameters
    ----------
    unroll
        The model.
    batch
        The data and the initial state; see `use`.
    modules
        Modules, or tuples of them, by name: all that run, with those below them. Their parameters
        are the controls, beside the initial state and inputs that require a gradient. They are
        found anew at every `start`.
    final_loss
        A function of the final state.
    leaf_steps
        Steps of a leaf; None leaves them to the driver.
    rank
        Rank of this process, which enters the seeds of its random numbers.

    Raises
    ------
    ArgumentError
        A part of the state cannot be stored as an array.
    """

    reproducible = True
    reaches_stop = True  # `record` computes the state at its stop in any case

    def __init__(
        self,
        unroll: Unroll,
        batch: Batch,
        modules: Mapping[str, Any],
        *,
        final_loss: Callable[[Tree], Any] | None = None,
        leaf_steps: int | None = None,
        rank: int = 0,
    ) -> None:
        self.leaf_sensitive = leaf_steps is None
        self._leaf_steps = USUAL_LEAF if leaf_steps is None else leaf_steps
        self._has_single_call = isinstance(unroll, FusedUnroll)
        self.seed = 0
        """Seed of an evaluation's randomness; set it before a run."""
        self.batch = batch
        self.used: set[str] = set()
        """Names of the controls that the cost was found to depend on, in the reverse sweep."""
        self.first_non_finite: int | None = None
        """The first step of this run whose loss is not finite; None if all are."""
        self.final_state: Tree = None
        """The state after the last step of the last run."""
        self._form = StateForm(batch.state)
        self._given = modules
        self._new_runner = partial(LeafRunner, unroll, self._form, rank)
        self._modules = Modules.of(modules)
        self.runner = self._new_runner(self._modules)
        self.final_loss = final_loss
        self.live = _like(self._form.tensors)
        self._pulled = _like(filter(is_differentiable, self._form.tensors))
        self._seed = np.zeros(1, np.int64)
        names = [f"state.{index}" for index in range(len(self.live))]
        arrays = [array_of(tensor) for tensor in self.live]
        self.state: Arrays = dict(zip(names, arrays, strict=True)) | {SEED: self._seed}
        self.adjoint: Arrays = {}
        for name, tensor in zip(names, self._form.tensors, strict=True):
            if is_differentiable(tensor):
                self.adjoint[name] = array_of(self._pulled[len(self.adjoint)])
        self._totals: dict[str, Any] = {}
        self._match_totals()
        self._tapes: dict[tuple[int, int], list[Tape | None]] = {}
        self._digests: dict[int, int] = {}
        """Hash of the losses of each leaf that has been taken, by its first step."""

    # -- the protocol -------------------------------------------------------------------------

    @property
    def leaf_steps(self) -> int:
        """Steps of a leaf. A driver that chooses them sets them before a run."""
        return self._leaf_steps

    @leaf_steps.setter
    def leaf_steps(self, steps: int) -> None:
        self._leaf_steps = steps
        self.runner = self._new_runner(self._modules)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters that require a gradient, by name."""
        return self._modules.parameters

    @property
    def controls(self) -> Arrays:
        """Parameters, and initial state and inputs that require a gradient, as tensors' memory."""
        return {name: array_of(tensor) for name, tensor in self._controls().items()}

    @property
    def accumulators(self) -> Arrays:
        """The accumulated gradients."""
        return {name: total.numpy() for name, total in self._totals.items()}

    @property
    def distributed(self) -> tuple[str, ...]:
        """Initial state and inputs: every rank has its own."""
        return tuple(self.batch.controls)

    @property
    def per_step(self) -> tuple[str, ...]:
        """Inputs that have a gradient: one row per step."""
        return tuple(self.batch.input_tensors)

    def tape_bytes(self, steps: int) -> int:
        """Return the memory of the tape of `steps` steps, in proportion to that of the first."""
        examined = self._examine()
        return -(-self.runner.leaf_bytes * steps // max(1, examined))

    def fingerprint(self) -> dict[str, Any]:
        """Return forms of the parameters, initial state, seed, inputs and targets."""
        forms = [(name, tuple(p.shape), str(p.dtype)) for name, p in self.parameters.items()]
        identity = self.leaf_steps, self.batch.num_steps, self.seed, forms
        initial = {f"initial {name}": array for name, array in self.state.items()}
        return {"network": identity, **initial, **self.batch.data()}

    def second_order(
        self, directions: Mapping[str, Any], *, gauss_newton: bool = False
    ) -> SecondOrderOfLeaves:
        """Return a stepper for second-order products, by differentiating autograd's gradients.

        Raises
        ------
        StepperError
            For Gauss-Newton, the loss is not a function of outputs, which are the model's.
        """
        return SecondOrderUnroll(self, directions, gauss_newton=gauss_newton)

    def use(self, batch: Batch) -> None:
        """Replace data and initial state by another batch.

        Raises
        ------
        ArgumentError
            The form of its state differs from that of the first batch, for which the driver has
            allocated memory.
        """
        batch.check_form(self._form)
        self.batch = batch
        self._match_totals()

    def find_modules(self) -> None:
        """Take the modules and parameters that there are now. `start` does so itself.

        Raises
        ------
        ArgumentError
            A parameter is not on the CPU.
        """
        found = Modules.of(self._given)
        if not found.same_as(self._modules):
            self._modules = found
            self.runner = self._new_runner(found)
        self._match_totals()

    def start(self) -> None:
        """Set the state to the initial one, and the accumulators to zero."""
        self.find_modules()
        self._examine()
        for live, first in zip(self.live, self.batch.initial, strict=True):
            live.copy_(first)
        self._seed[0] = self.seed
        for total in self._totals.values():
            total.zero_()
        self._tapes.clear()
        self.used.clear()
        self.first_non_finite = None
        self._digests.clear()

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Advance the state from `start` to `stop`, leaf by leaf."""
        for first, last in self._leaves(start, stop):
            data = self.batch.read(first, last)
            if data is None:
                break
            tensors, losses = self.runner.advance(
                data, self.live, int(self._seed[0]), with_losses=cost is not None
            )
            self._keep(tensors)
            self._compare(losses, data)
            cost = self._add_losses(losses, first, cost)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Advance the state from `start` to `stop`, keeping the graph."""
        del reach_stop
        tapes: list[Tape | None] = []
        for first, last in self._leaves(start, stop):
            data = self.batch.read(first, last)
            tape = data and self.runner.record(data, self.live, int(self._seed[0]))
            tapes.append(tape)
            if data is not None and tape is not None:
                self._keep(tape.lasts)
                self._compare(tape.losses, data)
                cost = self._add_losses(tape.losses, first, cost)
        self._tapes[start, stop] = tapes
        return cost

    def turn(self, cost: float) -> float:
        """Add the final loss, and set the adjoint to its derivative."""
        self.final_state = self._form.join([live.clone() for live in self.live])
        for pulled in self._pulled:
            pulled.zero_()
        if self.final_loss is None:
            return cost
        step = self.batch.num_steps
        tape = self.runner.record_end(self.final_loss, self.live, step, int(self._seed[0]))
        self._pull(tape, step)
        total = self._add_losses(tape.losses, step, cost)
        assert total is not None
        return total

    def pull_back(self, start: int, stop: int) -> None:
        """Pull the adjoint back from `stop` to `start`."""
        tapes = self._tapes.pop((start, stop))
        for first, _ in reversed(list(self._leaves(start, stop))):
            tape = tapes.pop()
            if tape is not None:
                self._pull(tape, first)

    def finish(self) -> None:
        """Add the adjoint of the initial state to its gradient."""
        adjoint = dict(zip(self.adjoint, self._pulled, strict=True))
        for name in self.batch.given:
            self._totals[name] += adjoint[name]

    # -- inside -------------------------------------------------------------------------------

    def _examine(self) -> int:
        """Examine the first steps of the first leaf; return how many.

        All of them, where one call takes them all.
        """
        leaf = min(self.leaf_steps, self.batch.end)
        steps = leaf if self._has_single_call else min(leaf, USUAL_LEAF)
        self.runner.examine(self.batch, steps, self.seed, leaf_steps=leaf)
        return steps

    def _controls(self) -> dict[str, Any]:
        return {**self.parameters, **self.batch.controls}

    def _match_totals(self) -> None:
        """Make accumulators for the controls, and keep those that there are already."""
        old, self._totals = self._totals, {}
        for name, tensor in self._controls().items():
            total, dtype = old.get(name), _wide(tensor.dtype)
            if total is None or (total.shape, total.dtype) != (tensor.shape, dtype):
                total = torch.zeros(tensor.shape, dtype=dtype)
            self._totals[name] = total

    def _leaves(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        while start < stop:
            last = min(stop, start - start % self.leaf_steps + self.leaf_steps)
            yield start, last
            start = last

    def _keep(self, tensors: list[Any]) -> None:
        """Copy tensors to the live state, with which some of them may share memory."""
        own = {live.untyped_storage().data_ptr() for live in self.live}
        fresh = [t.detach() for t in tensors]
        fresh = [t.clone() if t.untyped_storage().data_ptr() in own else t for t in fresh]
        for live, tensor in zip(self.live, fresh, strict=True):
            live.copy_(tensor)

    def _compare(self, losses: Any, data: LeafData) -> None:
        """Raise `StepperError` if a leaf that is taken again has other losses.

        Takes about 100 bytes for each leaf.
        """
        if losses is None:
            return
        digest = hash(bits_of([losses])[0])
        if self._digests.setdefault(data.start, digest) != digest:
            raise other_results(data)

    def _add_losses(self, losses: Any, start: int, cost: float | None) -> float | None:
        if cost is None or losses is None:
            return cost
        for step, loss in enumerate(losses.tolist(), start):
            cost += loss
            if not math.isfinite(loss) and self.first_non_finite is None:
                self.first_non_finite = step
        return cost

    def _pull(self, tape: Tape, start: int) -> None:
        """Pull the adjoint back over one tape; add to the accumulators."""
        firsts, inputs, parameters = self.runner.pull_back(tape, self._pulled)
        for pulled, gradient in zip(self._pulled, firsts, strict=True):
            if gradient is None:
                pulled.zero_()
            else:
                pulled.copy_(gradient)
        for name, gradient in inputs.items():
            if gradient is not None:
                self._totals[name][start : start + len(gradient)] += gradient
                self.used.add(name)
        for name, gradient in parameters.items():
            if gradient is not None:
                self._totals[name] += gradient
                self.used.add(name)


def _like(tensors: Any) -> list[Any]:
    return [torch.zeros(tensor.shape, dtype=tensor.dtype) for tensor in tensors]


def _wide(dtype: Any) -> Any:
    return torch.float32 if dtype in {torch.float16, torch.bfloat16} else dtype
