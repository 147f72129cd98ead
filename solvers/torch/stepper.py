"""A PyTorch model as a stepper: its tape is torch's own graph over one leaf.

The state of a step is that of the model, one array a tensor, and the seed of the evaluation's
randomness. What autograd returns for one leaf (`solvers.torch.leaf`) is the adjoint of its first
state and its share in the gradient of the parameters. That is the vector-Jacobian product that a
backward pass through the graph of the whole run would have made as well, in the same order but for
the sum over leaves.

Steps are advanced on the same grid of leaves on which they are recorded, because a fused module's
round-off depends on how many steps it is given.

The driver sees arrays. Those of the state, the adjoint and the controls share the memory of
tensors; the accumulators are arrays of their own, in float32 for parameters of 16 bits.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from adjoint.errors import StepperError
from adjoint.steppers import Arrays
from solvers.torch.batch import Batch
from solvers.torch.leaf import LeafRunner, Tape, bits_of
from solvers.torch.trees import StateForm, Tree, array_of, is_differentiable
from solvers.torch.unroll import Unroll

__all__ = ["TorchStepper"]

SEED = "seed"


class TorchStepper:
    """A model and a batch of sequences, as `adjoint.Stepper` wants them.

    Parameters
    ----------
    unroll
        The model.
    batch
        The data and the initial state; see `use`.
    parameters
        By name: what the gradient is with respect to, besides the initial state and inputs that
        require a gradient.
    modules
        By name: every module that runs.
    final_loss
        A function of the final state.
    leaf_steps
        Steps of a leaf.
    rank
        Of this process: its randomness is its own.

    Raises
    ------
    ArgumentError
        The state has something that cannot be kept.
    """

    reproducible = True

    def __init__(
        self,
        unroll: Unroll,
        batch: Batch,
        parameters: Mapping[str, Any],
        modules: Mapping[str, Any],
        *,
        final_loss: Callable[[Tree], Any] | None = None,
        leaf_steps: int = 32,
        rank: int = 0,
    ) -> None:
        self.leaf_steps = leaf_steps
        self.seed = 0
        """Of an evaluation's randomness; set it before a run."""
        self.batch = batch
        self.parameters = dict(parameters)
        self.used: set[str] = set()
        """The controls that the run's cost depends on, as far as it has been pulled back."""
        self.first_non_finite: int | None = None
        """The first step of this run whose loss is not finite."""
        self.final_state: Tree = None
        """The state after the last step of the last run."""
        self._form = StateForm(batch.state)
        self._runner = LeafRunner(unroll, self._form, modules, self.parameters, rank)
        self._final_loss = final_loss
        self._live = _like(self._form.tensors)
        self._pulled = _like(filter(is_differentiable, self._form.tensors))
        self._seed = np.zeros(1, np.int64)
        names = [f"state.{index}" for index in range(len(self._live))]
        arrays = [array_of(tensor) for tensor in self._live]
        self._state: Arrays = dict(zip(names, arrays, strict=True)) | {SEED: self._seed}
        self._adjoint: Arrays = {}
        for name, tensor in zip(names, self._form.tensors, strict=True):
            if is_differentiable(tensor):
                self._adjoint[name] = array_of(self._pulled[len(self._adjoint)])
        self._totals = self._make_totals()
        self._tapes: dict[tuple[int, int], list[Tape | None]] = {}
        self._first_end: tuple[int, list[bytes]] | None = None

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live state: the memory of tensors."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """Parameters, and what of state and inputs requires a gradient: the memory of tensors."""
        return {name: array_of(tensor) for name, tensor in self._controls().items()}

    @property
    def accumulators(self) -> Arrays:
        """The gradients as they grow."""
        return {name: total.numpy() for name, total in self._totals.items()}

    @property
    def distributed(self) -> tuple[str, ...]:
        """The initial state and the inputs, of which every rank has its own."""
        return tuple(self.batch.controls)

    @property
    def per_step(self) -> tuple[str, ...]:
        """The inputs that have a gradient: a row a step."""
        return tuple(self.batch.input_tensors)

    def tape_bytes(self, steps: int) -> int:
        """Memory of a tape: that of the first leaf, in proportion."""
        leaf = min(self.leaf_steps, self.batch.end)
        self._runner.examine(self.batch, leaf, self.seed)
        return -(-self._runner.leaf_bytes * steps // max(1, leaf))

    def fingerprint(self) -> str:
        """Return what the problem is, in words."""
        likes = [(name, tuple(p.shape), str(p.dtype)) for name, p in self.parameters.items()]
        return f"{self.leaf_steps};{self.batch.num_steps};{likes}"

    def use(self, batch: Batch) -> None:
        """Take the data and the initial state from another batch, from the next `start` on.

        Raises
        ------
        ArgumentError
            Its state is another one than the first batch's: the driver has made room for that.
        """
        batch.check_like(self._form)
        self.batch = batch
        self._totals = self._make_totals()

    def start(self) -> None:
        """Make the state the initial one, the accumulators zero."""
        self._runner.examine(self.batch, min(self.leaf_steps, self.batch.end), self.seed)
        for live, first in zip(self._live, self.batch.initial, strict=True):
            live.copy_(first)
        self._seed[0] = self.seed
        for total in self._totals.values():
            total.zero_()
        self._tapes.clear()
        self.used.clear()
        self.first_non_finite = None
        self._first_end = None

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Take the state from `start` to `stop`, leaf by leaf."""
        for first, last in self._leaves(start, stop):
            data = self.batch.read(first, last)
            if data is None:
                break
            tensors, losses = self._runner.advanced(
                data, self._live, int(self._seed[0]), wanted=cost is not None
            )
            self._keep(tensors, first, last)
            cost = self._added(losses, first, cost)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Take the state from `start` to `stop`, keeping the graph."""
        del reach_stop
        tapes: list[Tape | None] = []
        for first, last in self._leaves(start, stop):
            data = self.batch.read(first, last)
            tape = data and self._runner.taped(data, self._live, int(self._seed[0]))
            tapes.append(tape)
            if tape is not None:
                self._keep(tape.lasts, first, last)
                cost = self._added(tape.losses, first, cost)
        self._tapes[start, stop] = tapes
        return cost

    def turn(self, cost: float) -> float:
        """Add the final loss; make the adjoint its derivative."""
        self.final_state = self._form.join([live.clone() for live in self._live])
        for pulled in self._pulled:
            pulled.zero_()
        if self._final_loss is None:
            return cost
        step = self.batch.num_steps
        tape = self._runner.ended(self._final_loss, self._live, step, int(self._seed[0]))
        self._pull(tape, step)
        total = self._added(tape.losses, step, cost)
        assert total is not None
        return total

    def pull_back(self, start: int, stop: int) -> None:
        """Take the adjoint from `stop` to `start`."""
        tapes = self._tapes.pop((start, stop))
        for first, _ in reversed(list(self._leaves(start, stop))):
            tape = tapes.pop()
            if tape is not None:
                self._pull(tape, first)

    def finish(self) -> None:
        """Fold the adjoint of the initial state into its gradient."""
        adjoint = dict(zip(self._adjoint, self._pulled, strict=True))
        for name in self.batch.given:
            self._totals[name] += adjoint[name]

    # -- inside -------------------------------------------------------------------------------

    def _controls(self) -> dict[str, Any]:
        return self.parameters | self.batch.controls

    def _make_totals(self) -> dict[str, Any]:
        controls = self._controls().items()
        return {name: torch.zeros(t.shape, dtype=_wide(t.dtype)) for name, t in controls}

    def _leaves(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        while start < stop:
            last = min(stop, start - start % self.leaf_steps + self.leaf_steps)
            yield start, last
            start = last

    def _keep(self, tensors: list[Any], start: int, stop: int) -> None:
        """Make the given tensors the live state, which some of them may share memory with."""
        own = {live.untyped_storage().data_ptr() for live in self._live}
        fresh = [t.detach() for t in tensors]
        fresh = [t.clone() if t.untyped_storage().data_ptr() in own else t for t in fresh]
        for live, tensor in zip(self._live, fresh, strict=True):
            live.copy_(tensor)
        if start == 0:
            self._compare(stop)

    def _compare(self, stop: int) -> None:
        """Refuse a model whose first leaf ends elsewhere when it is taken again."""
        bits = bits_of(self._live)
        if self._first_end is None:
            self._first_end = stop, bits
        elif self._first_end[0] == stop and self._first_end[1] != bits:
            raise StepperError(
                f"the steps [0, {stop}) ended in another state when they were taken again: the "
                "model must be a function of state, inputs and step. Does it keep something "
                "between steps, or draw random numbers from a generator of its own?"
            )

    def _added(self, losses: Any, start: int, cost: float | None) -> float | None:
        if cost is None or losses is None:
            return cost
        for step, loss in enumerate(losses.tolist(), start):
            cost += loss
            if not math.isfinite(loss) and self.first_non_finite is None:
                self.first_non_finite = step
        return cost

    def _pull(self, tape: Tape, start: int) -> None:
        """Take the adjoint through one graph; add to the accumulators."""
        firsts, inputs, parameters = self._runner.pull_back(tape, self._pulled)
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
