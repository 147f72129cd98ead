"""Recurrent networks over very long sequences: a stepper of tanh, GRU or LSTM layers.

The state is the hidden state ``h`` of all layers (and ``c`` for an LSTM), each of shape
``(num_layers, batch, hidden_size)``. Step ``k`` reads input ``x[k]``, takes all layers from
``h[k]`` to ``h[k+1]``, and has the loss of the top layer's ``h[k+1]`` against target ``k``::

    J = sum over k of loss(h[k+1]) + final_loss(h[n])

The gradient, without truncation, is back-propagation through time (Werbos 1990,
doi:10.1109/5.58337), and the driver recomputes the states it needs from a few kept ones (Gruslys et
al. 2016, arXiv:1606.03401). The layers' formulas are in `solvers.recurrent.cells`, those of the
losses in `solvers.recurrent.losses`.

*Blocks.* Steps are taken in blocks of `leaf_steps`, which begin at its multiples, layer after
layer: the products with inputs, the read-out and the gradients of the weights are then single large
matrix products. Products of other sizes may round differently. As blocks are the same under every
schedule and in recomputation, gradients are bitwise equal.

*Tapes* hold the inputs of a block and the states and gates of every layer; pulling back overwrites
them. `advance` also computes on a tape, which it returns at once.

*Data-parallel.* Each rank has its own sequences and initial states; weights are the same on all
ranks. Steps do not communicate, and the driver sums the gradients of the weights once. All ranks
take the same number of steps, `solvers.sequences.common_num_steps`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from adjoint.steppers import Arrays, aligned_zeros, copy_arrays
from solvers.recurrent.blocks import Block, block_ranges, clear_rows, tape_entries, tape_scratch
from solvers.recurrent.checks import (
    check_input_gradient,
    check_inputs,
    check_pair,
    check_sizes,
    named_weights,
)
from solvers.recurrent.layer import Layer
from solvers.recurrent.losses import Loss
from solvers.sequences import Lengths, Rows, RowSink, RowSource

__all__ = ["RecurrentNetwork"]

Array = NDArray[Any]

USUAL_LEAF = 64
"""Steps of a block, unless another number is better."""

IGNORE_OVERFLOW: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}
"""NumPy's warnings off: overflow is reported once, as a loss that is not finite."""


class RecurrentNetwork:
    """A stepper of recurrent layers of one kind, with a loss at every step and one at the end.

    The controls are the weights, with PyTorch's names and shapes, ``weight_ih_l0``,
    ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0`` and so on; ``readout.weight`` and
    ``readout.bias`` of the loss; ``final_readout.…`` of a final loss that is another object; the
    initial states ``h0`` and, of an LSTM, ``c0``; and ``inputs``, given an `input_gradient`.
    Weights are initially uniform in ``±1 / sqrt(hidden_size)``, the same on all ranks; initial
    states are zero.

    Parameters
    ----------
    cell
        `Tanh`, `GRU` or `LSTM`.
    input_size, hidden_size
        Entries of an input, and of the hidden state of a layer.
    batch
        Number of this rank's sequences.
    inputs
        A row of shape ``(batch, input_size)`` per step: see `solvers.sequences.Rows`.
    loss, targets
        The loss of each step, and its targets: rows in the form that the loss takes.
    final_loss, final_targets
        The loss of the last state, and one row of targets. For a sequence that ends early, it is
        the state at its end.
    num_layers
        Number of layers; each is the input of the next.
    lengths
        Lengths of the sequences in steps; by default all are as long as the run.
    input_gradient
        Accumulator of the gradient with respect to the inputs, of their shape: an array, a memory
        map or an HDF5 dataset. Without it the inputs are no control.
    leaf_steps
        Steps of a block, and of a leaf. By default 64, or as many as suit the memory of a gradient.
    dtype
        float64 or float32.
    seed
        Seed of the initial weights.

    Raises
    ------
    ArgumentError
        An argument is out of range, or arguments contradict each other.
    """

    reproducible = True
    reaches_stop = True  # `record` computes the state at its stop in any case

    def __init__(
        self,
        cell: type[Layer],
        input_size: int,
        hidden_size: int,
        *,
        batch: int,
        inputs: RowSource,
        loss: Loss | None = None,
        targets: RowSource | None = None,
        final_loss: Loss | None = None,
        final_targets: ArrayLike | None = None,
        num_layers: int = 1,
        lengths: ArrayLike | None = None,
        input_gradient: RowSink | None = None,
        leaf_steps: int | None = None,
        dtype: DTypeLike = np.float64,
        seed: int = 0,
    ) -> None:
        self._dtype = np.dtype(dtype)
        self.leaf_sensitive = leaf_steps is None
        self._leaf_steps = USUAL_LEAF if leaf_steps is None else leaf_steps
        check_sizes(self._dtype, input_size, hidden_size, batch, num_layers, self._leaf_steps)
        check_pair("loss", loss, "targets", targets)
        check_pair("final_loss", final_loss, "final_targets", final_targets)
        self._row = (batch, input_size)
        self._inputs = Rows(inputs, "inputs")
        self._targets = None if targets is None else Rows(targets, "targets")
        self._final_targets = None if final_targets is None else np.asarray(final_targets)[None]
        self._lengths = None if lengths is None else Lengths.of(lengths, batch)
        self._layers = [
            cell(k, hidden_size if k else input_size, hidden_size, batch, self._dtype)
            for k in range(num_layers)
        ]
        self._losses: dict[str, Loss] = {}
        if loss is not None:
            self._losses["readout"] = loss
        self._final_name = "readout" if final_loss is loss else "final_readout"
        if final_loss is not None:
            self._losses[self._final_name] = final_loss
        self.controls = named_weights(self._layers, self._losses, self._dtype, seed)
        """Weights and initial states, and the inputs if they have a gradient."""
        self._allocate(hidden_size)
        if input_gradient is not None:
            self._control_inputs(inputs, input_gradient)

    def _allocate(self, hidden_size: int) -> None:
        batch, names = self._row[0], self._layers[0].memory
        shape = (len(self._layers), batch, hidden_size)
        self.state: Arrays = {name: aligned_zeros(shape, self._dtype) for name in names}
        """The live hidden states ``h`` and, of an LSTM, ``c``: ``(layers, batch, hidden)``."""
        self.adjoint: Arrays = {name: aligned_zeros(shape, self._dtype) for name in names}
        self.controls |= {f"{name}0": np.zeros(shape, self._dtype) for name in names}
        grown = {name: aligned_zeros(c.shape, c.dtype) for name, c in self.controls.items()}
        self.accumulators: dict[str, Any] = grown
        """The accumulated gradients. Each row of that of the inputs is written once."""
        self.distributed = tuple(f"{name}0" for name in names)
        self.per_step: tuple[str, ...] = ()
        self._allocate_blocks()
        self.first_non_finite: int | None = None
        """The first step since the last `start` whose loss was not finite; None if all were."""
        self._reached = 0
        """The last step reached since `start`: at `turn`, the end of the run."""

    def _allocate_blocks(self) -> None:
        """Allocate what the steps of a leaf need."""
        batch, hidden_size = self.state["h"].shape[1:]
        self._outer = aligned_zeros((self.leaf_steps, batch, hidden_size), self._dtype)
        self._inputs_adjoint: Array | None = None
        if self.per_step:
            self._inputs_adjoint = aligned_zeros((self.leaf_steps, *self._row), self._dtype)
        self.tape_memory = tape_scratch(self._layers, self._row, self.leaf_steps, self._dtype)
        self._tapes: dict[tuple[int, int], list[Block]] = {}

    def _control_inputs(self, inputs: Any, gradient: RowSink) -> None:
        """Make the inputs a control, with `gradient` as its accumulator."""
        check_input_gradient(inputs, gradient, self._row)
        self.controls["inputs"] = inputs
        self.accumulators["inputs"] = gradient
        self.distributed += ("inputs",)
        self.per_step = ("inputs",)
        self._allocate_blocks()

    # -- the protocol -------------------------------------------------------------------------

    @property
    def leaf_steps(self) -> int:
        """Steps of a leaf, and of a block. A driver that chooses them sets them before a run."""
        return self._leaf_steps

    @leaf_steps.setter
    def leaf_steps(self, steps: int) -> None:
        self._leaf_steps = steps
        self._allocate_blocks()

    def tape_bytes(self, steps: int) -> int:
        """Return the memory of the tape of `steps` steps, and of pulling it back.

        If the driver chooses the leaf, a block has as many steps.
        """
        block = steps if self.leaf_sensitive else self.leaf_steps
        blocks, rows = -(-steps // block), block * self._row[0]
        entries = tape_entries(self._layers, self._row, block)
        work = sum(loss.work_bytes(rows) for loss in self._losses.values())
        work += block * self._outer[0].nbytes
        if self._inputs_adjoint is not None:
            work += block * self._inputs_adjoint[0].nbytes
        return blocks * entries * self._dtype.itemsize + work

    def fingerprint(self) -> dict[str, Any]:
        """Return the kind of network and its sizes, inputs, targets and lengths."""
        shapes = {name: array.shape for name, array in self.controls.items()}
        for name in self.distributed:
            del shapes[name]
        identity = (type(self._layers[0]).__name__, shapes, self._dtype.str, self.leaf_steps)
        return {
            "network": identity,
            "inputs": self._inputs.array,
            "targets": None if self._targets is None else self._targets.array,
            "final targets": self._final_targets,
            "lengths": None if self._lengths is None else self._lengths.steps,
        }

    def start(self) -> None:
        """Set state and weights from the controls, and the accumulators to zero."""
        for layer in self._layers:
            layer.start(self.controls)
        for name, array in self.state.items():
            array[...] = self.controls[f"{name}0"]
        for name, total in self.accumulators.items():
            if name in self.per_step:
                clear_rows(total, self.leaf_steps)
            else:
                total[...] = 0
        self._tapes.clear()
        self.tape_memory.begin()
        self._reached, self.first_non_finite = 0, None

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self.state = arrays

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Advance the state from `start` to `stop`, in place or into `out`.

        The first step whose loss is not finite is kept in `first_non_finite`; the driver raises.

        Raises
        ------
        ArgumentError, StepperError
            Inputs or targets of these steps are missing or have the wrong form.
        """
        if out is not None:
            copy_arrays(self.state, out)
            self.state = out
        (tape,) = self.tape_memory.take(1)
        with np.errstate(**IGNORE_OVERFLOW):
            for first, last in block_ranges(start, stop, self.leaf_steps):
                cost = self._forward(Block.of(first, last, tape, self._lengths), cost)
        self.tape_memory.give_back([tape])
        self._reached = max(self._reached, stop)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Advance the state from `start` to `stop`, keeping states and gates; as `advance`."""
        del reach_stop  # the last step's loss needs the last state, so it is always computed
        blocks: list[Block] = []
        with np.errstate(**IGNORE_OVERFLOW):
            for first, last in block_ranges(start, stop, self.leaf_steps):
                (tape,) = self.tape_memory.take(1)
                blocks.append(Block.of(first, last, tape, self._lengths))
                cost = self._forward(blocks[-1], cost)
        self._tapes[start, stop] = blocks
        self._reached = max(self._reached, stop)
        return cost

    def turn(self, cost: float) -> float:
        """Add the final loss, and set the adjoint to its derivative.

        Raises
        ------
        ArgumentError
            A sequence is longer than the run.
        """
        if self._lengths is not None:
            self._lengths.check_end(self._reached)
        for array in self.adjoint.values():
            array[...] = 0
        if self._final_targets is None:
            return cost
        loss, gradient = self._losses[self._final_name], self._gradient_of(self._final_name)
        hidden, adjoint = self.state["h"][-1:], self.adjoint["h"][-1:]
        cost = self._add_final(cost, hidden)
        if math.isfinite(cost):
            loss.pull_back(hidden, self._final_targets, None, adjoint, gradient)
        return cost

    def pull_back(self, start: int, stop: int) -> None:
        """Pull the adjoint back from `stop` to `start`."""
        blocks = self._tapes.pop((start, stop))
        for block in reversed(blocks):
            if block.steps:
                self._pull_back(block)
        self.tape_memory.give_back([block.tape for block in blocks])

    def finish(self) -> None:
        """Add the adjoint at step 0 to the gradients of the initial states."""
        for name, array in self.adjoint.items():
            self.accumulators[f"{name}0"] += array

    def twin(
        self, controls: Arrays, accumulators: Arrays, like: Any, *, gauss_newton: bool
    ) -> "RecurrentNetwork":
        """Return the same network in complex arithmetic, for second derivatives."""
        from solvers.recurrent.twin import Twin  # noqa: PLC0415 (it is a network itself)

        return Twin(self, controls, accumulators, like, gauss_newton=gauss_newton)

    # -- blocks -------------------------------------------------------------------------------

    def _forward(self, block: Block, cost: float | None) -> float | None:
        """Advance the live state over a block, and record it on the block's tape."""
        start, steps, alive, tape = block
        if steps == 0:
            return cost
        inputs, dead = tape["inputs"][:steps], None if alive is None else ~alive
        inputs[...] = self._read_inputs(start, start + steps)
        if dead is not None:
            inputs[dead] = 0
        for layer in self._layers:
            layer.forward(tape, inputs, self.state, dead)
            layer.leave(tape, steps, self.state)
            inputs = layer.outputs(tape, steps)
        if cost is None or self._targets is None:
            return cost
        values = self._losses["readout"].values(inputs, self._read_targets(block), alive)
        return self._add(cost, values, start)

    def _add(self, cost: float, values: NDArray[np.float64], start: int) -> float:
        """Add the losses of the steps from `start` to the running total, one by one."""
        for step, value in enumerate(values.tolist(), start):
            cost += value
            if self.first_non_finite is None and not math.isfinite(value):
                self.first_non_finite = step
        return cost

    def _pull_back(self, block: Block) -> None:
        """Pull the adjoint back over a block; add to the accumulators."""
        start, steps, alive, tape = block
        outer, dead = self._outer[:steps], None if alive is None else ~alive
        if self._targets is None:
            outer[...] = 0
        else:
            top, targets = self._layers[-1].outputs(tape, steps), self._read_targets(block)
            gradient = self._gradient_of("readout")
            self._losses["readout"].pull_back(top, targets, alive, outer, gradient)
            self._settle_losses(outer)
        for layer in reversed(self._layers):
            lowest = layer.index == 0
            below = tape["inputs"] if lowest else self._layers[layer.index - 1].outputs(tape, steps)
            layer.pull_back(tape, below[:steps], outer, self.adjoint, dead, self.accumulators)
            if not lowest:
                layer.inputs_adjoint(tape, outer)
        if self._inputs_adjoint is not None:
            rows = self._inputs_adjoint[:steps]
            self._layers[0].inputs_adjoint(tape, rows)
            self.accumulators["inputs"][start : start + steps] = rows

    def _add_final(self, cost: float, hidden: Array) -> float:
        """Add the final loss to the running total."""
        loss, targets = self._losses[self._final_name], self._final_targets
        assert targets is not None
        with np.errstate(**IGNORE_OVERFLOW):
            return self._add(cost, loss.values(hidden, targets, None), self._reached)

    def _settle_losses(self, outer: Array) -> None:
        """Called with the adjoint that the losses of a block give to its outputs."""

    def _read_inputs(self, start: int, stop: int) -> Any:
        given = self._inputs.read(start, stop)
        check_inputs(given, self._row, start, stop)
        return given

    def _read_targets(self, block: Block) -> Array:
        assert self._targets is not None
        return np.asarray(self._targets.read(block.start, block.start + block.steps))

    def _gradient_of(self, name: str) -> Arrays:
        parts = self._losses[name].weights
        return {part: self.accumulators[f"{name}.{part}"] for part in parts}
