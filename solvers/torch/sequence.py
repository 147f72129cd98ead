"""Back-propagation through time for a PyTorch model, over sequences that autograd cannot hold.

A recurrent model ``state, output = cell(state, inputs[k])`` over ``n`` steps, with the loss
``sum over k of loss(output[k], targets[k])``, is a time-stepping computation, and its gradient is
that of `adjoint.gradient`. Autograd keeps what all ``n`` steps saved for their backward pass;
`TorchSequence` keeps a few states, and the graph of one leaf of some steps, and runs the steps
between them again. The gradient is the one of the whole unroll: nothing is truncated. (Back-
propagation through time: Werbos 1990, doi:10.1109/5.58337; with checkpoints: Gruslys et al. 2016,
arXiv:1606.03401.)

Module, optimiser and training loop stay what they are::

    sequence = TorchSequence(cell, inputs, targets, loss=loss, state=(h, c), memory="1 GiB")
    for epoch in range(100):
        optimizer.zero_grad()
        value = sequence.backward()
        optimizer.step()

`TorchSequence.backward` adds to ``.grad`` what ``loss.backward()`` would add, and returns the loss
as a number. It computes under the autocast that is active where it is called, and in the mode
(training or evaluation) that the modules are in.

*Randomness* (dropout) is seeded anew for every leaf, by a hash of a number drawn from torch's
global generator once per evaluation. So ``torch.manual_seed`` fixes a training run, replays draw
the same numbers, and after an evaluation the global generator is one draw further, however many
steps there were. The numbers are not those that one unroll of the whole sequence would draw, and
they depend on `leaf_steps`.

*On several ranks* every rank has sequences of its own and the same parameters. The loss is the sum
over all ranks, and so is the gradient of every `torch.nn.Parameter`: reduced once, the same bits
everywhere, so that an optimiser keeps the parameters the same, bit for bit. The gradient with
respect to inputs, and to initial states that are not computed from a Parameter, is a rank's own.

Only tensors on the CPU: a state on another device is refused.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, Unpack

import torch
from numpy.typing import ArrayLike

import adjoint
from adjoint.errors import ArgumentError
from solvers.sequences import common_num_steps
from solvers.torch.batch import Batch, num_rows
from solvers.torch.graph import graph_before, without_hooks
from solvers.torch.stepper import TorchStepper
from solvers.torch.trees import Tree
from solvers.torch.unroll import CellUnroll, FunctionUnroll, FusedUnroll, RowLoss, Unroll

__all__ = ["TorchSequence"]


class TorchSequence:
    """A recurrent model, unrolled over long sequences. Collective on `comm`, as every method is.

    A context manager; leaving it, or `close`, gives back memory and file.

    Parameters
    ----------
    cell
        One of

        - ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``: called once for all the steps of a leaf;
        - with `loss` or `final_loss`, a module or function ``cell(inputs, state)`` of one step, as
          ``nn.LSTMCell`` and ``nn.GRUCell`` are. It returns the new state, and then the state's
          first tensor is the output; or ``(output, state)``;
        - without, a module or function ``cell(state, inputs, step) -> (state, loss)``, whose loss
          is a tensor, of which the sum counts, or None.
    inputs
        A row a step, first axis the step (also for a module with ``batch_first``): a tensor, an
        array, a memory map, an HDF5 dataset, or a function ``(start, stop) -> rows``. Only the rows
        of a leaf are read at a time. A tuple of these gives every step a tuple of rows; None
        gives it None. A tensor that requires a gradient gets one.
    targets
        What the loss is given besides the outputs: as `inputs`. None: it is given outputs only.
    loss
        ``loss(outputs, targets)``: rows of outputs, of all sequences and several steps, to one loss
        a row, unreduced (``reduction="none"``); their sum counts. A module may have parameters: a
        read-out layer belongs here, where it is applied to many steps at once.
    final_loss
        ``final_loss(state)``, one number, of the state after the last step.
    state
        The initial state: a tensor, or a nested tuple of tensors. Parts that require a gradient
        get one, and so does what they were computed from. Every later state must have the same
        structure, shapes and dtypes.
    modules
        Modules that a function uses, a module or several: their parameters get gradients. Those
        of `cell`, `loss` and `final_loss`, if they are modules, need not be given.
    num_steps
        Steps of the sequences; by default as many as the inputs have rows. Ranks may have
        sequences of different length: all step together, for as long as the longest.
    lengths
        Steps of each sequence, where they are unequal: after its end a sequence's state is carried
        along and its losses are not counted. The sequences are the first axis of every tensor of
        the state, the second of a fused module's and of all rows.
    leaf_steps
        Steps whose graph is held at once. More take more memory; the time depends on it little.
    **options
        Communicator, memory, file and more: see `adjoint.RunOptions`. Resuming a run takes the same
        data as before.

    Raises
    ------
    ArgumentError, StepperError
        What cannot be run, here or at the first evaluation, before a gradient is changed.
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
        leaf_steps: int = 32,
        **options: Unpack[adjoint.RunOptions],
    ) -> None:
        comm = options.get("comm")
        if leaf_steps < 1:
            raise ArgumentError(f"leaf_steps={leaf_steps}: a leaf has at least one step")
        self._own_steps = num_steps
        self._given = {"inputs": inputs, "targets": targets, "state": state, "lengths": lengths}
        self._batch_axis = 1 if isinstance(cell, torch.nn.RNNBase) else 0
        self._num_steps = common_num_steps(
            num_rows(inputs) if num_steps is None else num_steps, comm
        )
        named = dict(_modules(cell=cell, loss=loss, final_loss=final_loss, modules=modules))
        self._stepper = TorchStepper(
            _unroll(cell, loss, final_loss),
            self._batch(),
            dict(_parameters(named)),
            named,
            final_loss=final_loss,
            leaf_steps=min(leaf_steps, self._num_steps),
            rank=0 if comm is None else comm.Get_rank(),
        )
        self._functional = adjoint.Functional(self._stepper, self._num_steps, **options)

    @property
    def num_steps(self) -> int:
        """How many steps are taken: those of the longest sequence of all ranks."""
        return self._num_steps

    @property
    def stepper(self) -> TorchStepper:
        """What the driver steps: for `adjoint.verification`, or a driver of your own."""
        return self._stepper

    @property
    def report(self) -> adjoint.Report | None:
        """What the last `backward` did and what it took."""
        return self._functional.report

    @property
    def final_state(self) -> Tree:
        """The state after the last step of the last evaluation, of this rank: detached copies."""
        return self._stepper.final_state

    def backward(self, **batch: Any) -> float:
        """Add the gradient to ``.grad``; return the loss, summed over ranks.

        Parameters
        ----------
        **batch
            New `inputs`, `targets`, `state` or `lengths`, from now on: the next batch of a training
            loop. The state must be as large as the one before. Where the state is computed from
            something that gets a gradient, compute it anew before every call, as for
            ``loss.backward()``.

        Raises
        ------
        NonFiniteError
            The loss of a step, which is named, is not finite. Gradients are as they were.
        StepperError
            The model cannot be replayed; the message names the step.
        ArgumentError
            The batch does not fit, or gradients are disabled.
        """
        if not torch.is_grad_enabled():
            raise ArgumentError(
                "backward() under torch.no_grad(): loss() gives the value without a gradient"
            )
        self._use(batch)
        value, gradient = self._functional.value_and_gradient()
        tensors = {name: torch.from_numpy(array) for name, array in gradient.items()}
        own = self._stepper.batch
        used = self._used(gradient)
        _accumulate(
            (tensor, tensors[name])
            for name, tensor in (self._stepper.parameters | own.input_tensors).items()
            if name in used and tensor.requires_grad
        )
        self._through_initial_state([tensors[name] for name in own.given])
        return value

    def loss(self, **batch: Any) -> float:
        """Return the loss, summed over ranks, without a gradient. Arguments as of `backward`."""
        self._use(batch)
        return self._functional.value()

    def close(self) -> None:
        """Give back memory and file. Collective."""
        self._functional.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------

    def _batch(self) -> Batch:
        return Batch(self._num_steps, self._own_steps, **self._given, batch_axis=self._batch_axis)

    def _use(self, changed: dict[str, Any]) -> None:
        """Take what is new, and draw the seed of this evaluation."""
        unknown = sorted(set(changed) - set(self._given))
        if unknown:
            raise ArgumentError(f"a batch has no {unknown}: it has {', '.join(self._given)}")
        if changed:
            self._given |= changed
            self._stepper.use(self._batch())
        self._stepper.batch.refresh()
        self._stepper.seed = int(torch.randint(2**62, ()))

    def _used(self, gradient: dict[str, Any]) -> set[str]:
        """Return what gets a gradient: autograd gives none where nothing depends on a parameter.

        A run that was resumed has not seen its last leaves, but what they added.
        """
        ranks: list[set[str]] = self._functional.comm.gather(self._stepper.used)
        return {name for name, array in gradient.items() if array.any()}.union(*ranks)

    def _through_initial_state(self, gradients: list[Any]) -> None:
        """Go on with the gradient to what the initial state was computed from."""
        given = list(self._stepper.batch.given.values())
        comm = self._functional.comm
        begun = graph_before(given).leaves
        if not begun:
            return
        with without_hooks(begun):
            found = torch.autograd.grad(given, begun, gradients, allow_unused=True)
        for tensor, gradient in zip(begun, found, strict=True):
            if gradient is not None and isinstance(tensor, torch.nn.Parameter):
                comm.sum(gradient.contiguous().numpy())
        _accumulate(pair for pair in zip(begun, found, strict=True) if pair[1] is not None)


def _unroll(cell: Any, loss: Any, final_loss: Any) -> Unroll:
    rows = None if loss is None else RowLoss(loss)
    if isinstance(cell, torch.nn.RNNBase):
        return FusedUnroll(cell, rows)
    if not callable(cell):
        raise ArgumentError(f"the cell is {cell!r}: give a module or a function")
    if loss is None and final_loss is None:
        return FunctionUnroll(cell)
    return CellUnroll(cell, rows)


def _modules(**given: Any) -> Iterator[tuple[str, Any]]:
    """Yield every module once, by its name from the argument that it came with."""
    seen: set[int] = set()
    for argument, value in given.items():
        several: dict[str, Any] = {argument: value}
        if isinstance(value, tuple | list):
            several = {f"{argument}.{index}": top for index, top in enumerate(value)}
        for prefix, top in several.items():
            if not isinstance(top, torch.nn.Module):
                continue
            for name, module in top.named_modules(prefix=prefix):
                if id(module) not in seen:
                    seen.add(id(module))
                    yield name, module


def _parameters(modules: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every parameter that requires a gradient, once."""
    seen: set[int] = set()
    for prefix, module in modules.items():
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            if parameter.device.type != "cpu":
                raise ArgumentError(
                    f"{name} is on {parameter.device}: only the CPU can be used; .cpu() moves it"
                )
            yield name, parameter


def _accumulate(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Add gradients to the ``.grad`` of tensors, as a backward pass does, hooks and all."""
    for tensor, gradient in pairs:
        torch.autograd.backward([tensor], [gradient.to(tensor.dtype)])
