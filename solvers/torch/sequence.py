"""Back-propagation through time for a PyTorch model, over sequences that autograd cannot hold.

A recurrent model ``state, output = cell(state, inputs[k])`` over ``n`` steps, with the loss
``sum over k of loss(output[k], targets[k])``, is a time-stepping computation, whose gradient
`adjoint.gradient` computes. Autograd keeps what all ``n`` steps save for their backward pass;
`TorchSequence` keeps a few states and the graph of one leaf of some steps, and runs the other steps
again. The gradient is that of the whole unroll, without truncation (back-propagation through time:
Werbos 1990, doi:10.1109/5.58337; with checkpoints: Gruslys et al. 2016, arXiv:1606.03401).

Module, optimiser and training loop remain the same::

    sequence = TorchSequence(cell, inputs, targets, loss=loss, state=(h, c), memory="1 GiB")
    for epoch in range(100):
        optimizer.zero_grad()
        value = sequence.backward()
        optimizer.step()

`TorchSequence.backward` adds to ``.grad`` what ``loss.backward()`` would add, and returns the loss
as a number. It uses the autocast that is active when it is called, and the mode (training or
evaluation) of the modules.

*Randomness* (dropout) is seeded again for every leaf, by a hash of a number that is drawn from
torch's global generator once per evaluation. So ``torch.manual_seed`` determines a training run,
replays draw the same numbers, and an evaluation advances the global generator by one draw whatever
its number of steps. The numbers are not those that an unroll of the whole sequence would draw, and
depend on `leaf_steps`.

*On several ranks* every rank has its own sequences and the same parameters. The loss is the sum
over all ranks, and so is the gradient of every `torch.nn.Parameter`. It is reduced once and has the
same bits everywhere, so that an optimiser keeps the parameters bitwise equal. Gradients with
respect to inputs, and to initial states not computed from a Parameter, are those of the rank.

Only tensors on the CPU are supported.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any, Unpack

import torch
from numpy.typing import ArrayLike

import adjoint
from adjoint.closing import Closing
from adjoint.errors import AdjointError, ArgumentError
from adjoint.parallel import agree_on
from solvers.sequences import common_num_steps
from solvers.torch.batch import Batch, num_rows
from solvers.torch.graph import graph_before, without_hooks
from solvers.torch.losses import RowLoss
from solvers.torch.stepper import TorchStepper
from solvers.torch.trees import Tree
from solvers.torch.unroll import CellUnroll, FunctionUnroll, FusedUnroll, Unroll

__all__ = ["TorchSequence"]


class TorchSequence(Closing):
    """A recurrent model, unrolled over long sequences. All methods are collective on `comm`.

    A context manager; leaving it, or `close`, releases memory and file.

    Parameters
    ----------
    cell
        One of

        - ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``: called once for all the steps of a leaf;
        - with `loss` or `final_loss`, a module or function ``cell(inputs, state)`` of one step,
          like ``nn.LSTMCell`` and ``nn.GRUCell``. It returns ``(output, state)``, or only the new
          state, whose first tensor is then the output;
        - without them, a module or function ``cell(state, inputs, step) -> (state, loss)``, whose
          loss is None or a tensor, whose sum counts.
    inputs
        One row per step, along the first axis (also for a module with ``batch_first``): a tensor,
        an array, a memory map, an HDF5 dataset, or a function ``(start, stop) -> rows``. Only the
        rows of one leaf are read at a time. With a tuple of these, every step gets a tuple of rows;
        with None it gets None. A tensor that requires a gradient gets one.
    targets
        Rows passed to the loss with the outputs, in the same forms as `inputs`. None: the loss is
        called with outputs only.
    loss
        ``loss(outputs, targets)``: maps rows of outputs, of all sequences and several steps, to one
        loss per row, not reduced (``reduction="none"``); their sum counts. A module may have
        parameters: a read-out layer belongs here, where it is applied to many steps at once.
    final_loss
        ``final_loss(state)``: one number, from the state after the last step.
    state
        The initial state: a tensor, or a nested tuple of tensors. Tensors that require a gradient
        get one, and so do those that they were computed from. All later states must have the same
        structure, shapes and dtypes.
    modules
        A module, or several, that functions passed here use: their parameters get gradients.
        `cell`, `loss` and `final_loss`, if they are modules, need not be listed.
    num_steps
        Number of steps; by default the number of rows of the inputs. Ranks may have sequences of
        different lengths: all take as many steps as the longest.
    lengths
        Steps of each sequence, if they differ. After its end a sequence's state stays unchanged and
        its losses are not counted; padding may hold anything. Sequences are along the first axis of
        every tensor of the state (the second for a fused module), and along the second axis of all
        rows.
    leaf_steps
        Steps whose graph is held at once. By default as many as suit the memory; the number is in
        the report. The last bits of the gradient depend on it.
    **options
        Communicator, memory, file and more: see `adjoint.RunOptions`. Resuming a run takes the same
        data as before.

    Raises
    ------
    ArgumentError, StepperError
        The model or the data cannot be used. Raised here or at the first evaluation, before any
        gradient is changed.
    """

    def __init__(
        self,
        cell: Any,
        inputs: Any = None,
        targets: Any = None,
        *,
        state: Tree,
        loss: Callable[..., Any] | None = None,
        final_loss: Callable[[Tree], Any] | None = None,
        modules: Any = (),
        num_steps: int | None = None,
        lengths: ArrayLike | None = None,
        leaf_steps: int | None = None,
        **options: Unpack[adjoint.RunOptions],
    ) -> None:
        comm = options.get("comm")
        if leaf_steps is not None and leaf_steps < 1:
            raise ArgumentError(f"leaf_steps={leaf_steps}: a leaf has at least one step")
        self._own_steps = num_steps
        self._given = {"inputs": inputs, "targets": targets, "state": state, "lengths": lengths}
        self._batch_axis = 1 if isinstance(cell, torch.nn.RNNBase) else 0
        self._num_steps = common_num_steps(
            num_rows(inputs) if num_steps is None else num_steps, comm
        )
        self._first = self._batch({})
        self._stepper = TorchStepper(
            _unroll(cell, loss, final_loss),
            self._first,
            {"cell": cell, "loss": loss, "final_loss": final_loss, "modules": modules},
            final_loss=final_loss,
            leaf_steps=None if leaf_steps is None else min(leaf_steps, self._num_steps),
            rank=0 if comm is None else comm.Get_rank(),
        )
        self._journalled = _forms(self._stepper) if options.get("resume") else None
        self._functional = adjoint.Functional(self._stepper, self._num_steps, **options)

    @property
    def num_steps(self) -> int:
        """Number of steps taken: those of the longest sequence of all ranks."""
        return self._num_steps

    @property
    def stepper(self) -> TorchStepper:
        """The stepper, for `adjoint.verification` or for `adjoint.gradient`."""
        return self._stepper

    @property
    def report(self) -> adjoint.Report | None:
        """The report of the last evaluation; None before the first."""
        return self._functional.report

    @property
    def final_state(self) -> Tree:
        """The state after the last step of the last evaluation, on this rank: detached copies."""
        return self._stepper.final_state

    def backward(self, **batch: Any) -> float:
        """Add the gradient to ``.grad``; return the loss, summed over ranks.

        Parameters
        ----------
        **batch
            `inputs`, `targets`, `state` or `lengths` of this call, in place of those that the
            sequence was constructed with; later calls do not remember them. `inputs` without
            `lengths` are equally long. The state must have the shapes of the first one. If it is
            computed from something that gets a gradient, give it again, computed again, in every
            call, as for ``loss.backward()``.

        Raises
        ------
        NonFiniteError
            The loss of a step is not finite; the message names the step. Gradients are unchanged.
        StepperError
            The model cannot be replayed, or uses something that would get no gradient; the message
            names the steps.
        ArgumentError
            The batch has the wrong form, or gradients are disabled. On all ranks.
        """
        with self._evaluating(batch, gradient=True):
            value, gradient = self._functional.value_and_gradient()
            tensors = {name: torch.from_numpy(array) for name, array in gradient.items()}
            own = self._stepper.batch
            used = self._used(gradient)
            _accumulate(
                (tensor, tensors[name])
                for name, tensor in {**self._stepper.parameters, **own.input_tensors}.items()
                if name in used and tensor.requires_grad
            )
            self._through_initial_state([tensors[name] for name in own.given])
        return value

    def loss(self, **batch: Any) -> float:
        """Return the loss, summed over ranks, without a gradient. Arguments as of `backward`."""
        with self._evaluating(batch, gradient=False):
            return self._functional.value()

    def close(self) -> None:
        """Release memory and file. Collective."""
        self._functional.close()

    # -- batches and gradients ----------------------------------------------------------------

    def _batch(self, changed: dict[str, Any]) -> Batch:
        """Return the batch of the constructor, with changes."""
        unknown = sorted(set(changed) - set(self._given))
        if unknown:
            raise ArgumentError(
                f"a batch has no {', '.join(unknown)}: it has {', '.join(self._given)}"
            )
        ends = {"lengths": None} if "inputs" in changed else {}
        data = self._given | ends | changed
        return Batch(self._num_steps, self._own_steps, **data, batch_axis=self._batch_axis)

    @contextmanager
    def _evaluating(
        self, changed: dict[str, Any], *, gradient: bool
    ) -> Generator[None, None, None]:
        """Use a batch for one evaluation, once all ranks have found theirs in order."""
        comm = self._functional.comm
        with comm.failing():
            try:
                prepare = partial(self._prepare, changed, gradient=gradient)
                agree_on(prepare, comm, catch=AdjointError)
                yield
            finally:
                self._stepper.use(self._first)

    def _prepare(self, changed: dict[str, Any], *, gradient: bool) -> None:
        """Give the stepper a batch, the present modules, and the seed of an evaluation."""
        if gradient and not torch.is_grad_enabled():
            raise ArgumentError(
                "backward() under torch.no_grad(): loss() gives the value without a gradient"
            )
        self._stepper.use(self._batch(changed) if changed else self._first)
        self._stepper.batch.refresh()
        self._stepper.find_modules()
        if self._journalled is not None and self._journalled != _forms(self._stepper):
            raise ArgumentError(
                "with resume=True parameters, and inputs and states that require a gradient, must "
                "keep names, shapes and dtypes, which the file has room for: make a new sequence"
            )
        self._stepper.seed = int(torch.randint(2**62, ()))

    def _used(self, gradient: dict[str, Any]) -> set[str]:
        """Return the names of what gets a gradient: autograd gives none to an unused parameter.

        A resumed run has not pulled back its last leaves itself; nonzero gradients show their use.
        """
        ranks: list[set[str]] = self._functional.comm.gather(self._stepper.used)
        return {name for name, array in gradient.items() if array.any()}.union(*ranks)

    def _through_initial_state(self, gradients: list[Any]) -> None:
        """Continue the gradient to the tensors that the initial state was computed from."""
        given = list(self._stepper.batch.given.values())
        comm = self._functional.comm
        origins = graph_before(given).leaves
        if not origins:
            return
        with without_hooks(origins):
            found = torch.autograd.grad(given, origins, gradients, allow_unused=True)
        for tensor, gradient in zip(origins, found, strict=True):
            if gradient is not None and isinstance(tensor, torch.nn.Parameter):
                comm.sum(gradient.contiguous().numpy())
        _accumulate(pair for pair in zip(origins, found, strict=True) if pair[1] is not None)


def _unroll(cell: Any, loss: Any, final_loss: Any) -> Unroll:
    rows = None if loss is None else RowLoss(loss)
    if isinstance(cell, torch.nn.RNNBase):
        return FusedUnroll(cell, rows)
    if not callable(cell):
        raise ArgumentError(f"cell={cell!r}: must be a module or a function")
    if loss is None and final_loss is None:
        return FunctionUnroll(cell)
    return CellUnroll(cell, rows)


def _forms(stepper: TorchStepper) -> list[Any]:
    """Return names, shapes and dtypes of the gradients."""
    return [(name, a.shape, a.dtype) for name, a in stepper.accumulators.items()]


def _accumulate(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Add gradients to the ``.grad`` of tensors, and call hooks, as a backward pass does."""
    for tensor, gradient in pairs:
        torch.autograd.backward([tensor], [gradient.to(tensor.dtype)])
