"""The base class of recurrent layers: weights, blocks of steps, and the loop over a block.

*Blocks.* A layer takes a block of several steps at once. Whatever does not depend on the hidden
state is one matrix product for the whole block: ``Wx x`` in the forward pass, and in the reverse
pass the gradients of both weight matrices and the adjoint of the inputs. Each step is then one
product of the hidden state with the weights of all gates, and arithmetic in place.

*One hyperbolic tangent serves all gates*: ``s(a) = (1 + tanh(a / 2)) / 2`` is the logistic
function. The rows of the weights are halved once, when a run starts; multiplying by a power of two
is exact. These packed copies also order the gates so that the logistic ones are contiguous.

*The transpose.* Given the adjoint of its new state, a step replaces the gates on the tape by the
adjoints of the arguments of their tanh; the product of these with ``Wh`` is the adjoint of ``h``.
For logistic gates the argument is halved and the derivative doubled, which is exact again.

*Sequences that have ended* (`solvers.sequences.Lengths`) keep their state, and their adjoint passes
through unchanged. Their rows of the gates' adjoints are zero, so they add to no gradient.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Arrays, aligned_zeros

__all__ = ["Layer"]

Array = NDArray[Any]
Dead = NDArray[np.bool_] | None
"""Mask of the sequences that have ended at each step of a block; None where none has."""


class Layer(ABC):
    """One layer of a recurrent network.

    Parameters
    ----------
    index
        Position of the layer, counted from the input.
    input_size, hidden_size
        Entries of an input, and of the hidden state.
    batch
        Sequences stepped together.
    dtype
        Dtype of weights, states and tapes.
    """

    gate_order: ClassVar[tuple[int, ...]]
    """PyTorch's index of each gate, in the order of computation: logistic gates first."""
    num_logistic: ClassVar[int]
    """Number of logistic gates."""
    memory: ClassVar[tuple[str, ...]] = ("h",)
    """Names of the arrays of the state that a step passes to the next."""

    def __init__(
        self, index: int, input_size: int, hidden_size: int, batch: int, dtype: np.dtype[Any]
    ) -> None:
        self.index = index
        self.input_size, self.hidden_size, self.batch = input_size, hidden_size, batch
        self._dtype = dtype
        rows = len(self.gate_order) * hidden_size
        self._weight_x = aligned_zeros((rows, input_size), dtype)
        self._weight_h = aligned_zeros((rows, hidden_size), dtype)
        self._bias_x = aligned_zeros(rows, dtype)
        self._bias_h = aligned_zeros(rows, dtype)
        self._gradient_x = aligned_zeros((rows, input_size), dtype)
        self._gradient_h = aligned_zeros((rows, hidden_size), dtype)
        self._product = aligned_zeros((batch, rows), dtype)
        self._slopes = aligned_zeros((batch, self.num_logistic * hidden_size), dtype)
        if self.num_logistic:
            self._first = aligned_zeros((batch, hidden_size), dtype)
            self._second = aligned_zeros((batch, hidden_size), dtype)

    def of_dtype(self, dtype: np.dtype[Any]) -> "Layer":
        """Return the same layer of another dtype."""
        return type(self)(self.index, self.input_size, self.hidden_size, self.batch, dtype)

    # -- names and shapes -----------------------------------------------------------------------

    def name(self, part: str) -> str:
        """Return the name of a part of this layer, unique in the network."""
        return f"{part}_l{self.index}"

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of the weights."""
        rows = len(self.gate_order) * self.hidden_size
        return {
            self.name("weight_ih"): (rows, self.input_size),
            self.name("weight_hh"): (rows, self.hidden_size),
            self.name("bias_ih"): (rows,),
            self.name("bias_hh"): (rows,),
        }

    def tape_shapes(self, steps: int) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of the arrays of a block's tape."""
        state = (steps + 1, self.batch, self.hidden_size)
        parts = dict.fromkeys(self.memory, state)
        parts |= {p: (steps, self.batch, n * self.hidden_size) for p, n in self._tape_parts()}
        return {self.name(part): shape for part, shape in parts.items()}

    def outputs(self, tape: Arrays, steps: int) -> Array:
        """Return the hidden states after each step of a block, ``(steps, batch, hidden_size)``."""
        return tape[self.name("h")][1 : steps + 1]

    # -- stepping -------------------------------------------------------------------------------

    def start(self, weights: Arrays) -> None:
        """Copy the weights, which may have changed."""
        self._pack(weights[self.name("weight_ih")], self._weight_x)
        self._pack(weights[self.name("weight_hh")], self._weight_h)
        self._pack(weights[self.name("bias_ih")], self._bias_x)
        self._pack(weights[self.name("bias_hh")], self._bias_h)
        self._join_biases()

    def forward(self, tape: Arrays, inputs: Array, state: Arrays, dead: Dead) -> None:
        """Take the steps of a block, from `state`, and record them on the tape.

        `inputs` has shape ``(steps, batch, input_size)``.
        """
        steps = len(inputs)
        own = self._own(tape)
        for name in self.memory:
            own[name][0] = state[name][self.index]
        gates = self._gates(own, steps)
        _product(inputs, self._weight_x.T, gates)
        gates += self._bias_x
        for t in range(steps):
            self._step(own, gates[t], t)
            if dead is not None:
                for name in self.memory:
                    own[name][t + 1][dead[t]] = own[name][t][dead[t]]

    def leave(self, tape: Arrays, steps: int, state: Arrays) -> None:
        """Write the state after the block's last step to `state`."""
        for name in self.memory:
            state[name][self.index] = tape[self.name(name)][steps]

    def pull_back(
        self,
        tape: Arrays,
        inputs: Array,
        outer: Array,
        adjoint: Arrays,
        dead: Dead,
        gradient: Arrays,
    ) -> None:
        """Pull the adjoint back over a block; add to the gradients of the weights.

        `outer`, of shape ``(steps, batch, hidden_size)``, is the adjoint of the block's outputs.
        Overwrites the gates on the tape by their adjoints.
        """
        steps = len(inputs)
        own = self._own(tape)
        gates = self._gates_adjoint(own, steps)
        now = {name: adjoint[name][self.index] for name in self.memory}
        for t in reversed(range(steps)):
            now["h"] += outer[t]
            if dead is None:
                self._step_transposed(own, gates[t], now, t)
                continue
            ended = dead[t]
            kept = {name: array[ended] for name, array in now.items()}
            self._step_transposed(own, gates[t], now, t)
            for name, array in now.items():
                array[ended] = kept[name]
            self._clear(own, gates, t, ended)
        flat = gates.reshape(steps * self.batch, -1)
        np.matmul(flat.T, inputs.reshape(len(flat), -1), out=self._gradient_x)
        self._unpack(self._gradient_x, gradient[self.name("weight_ih")])
        self._unpack(np.add.reduce(flat), gradient[self.name("bias_ih")])
        self._pull_back_hidden(own, flat, gradient)

    def inputs_adjoint(self, tape: Arrays, out: Array) -> None:
        """Write the adjoint of the inputs of the block pulled back last."""
        _product(self._gates_adjoint(self._own(tape), len(out)), self._weight_x, out)

    # -- overridden by the cells ----------------------------------------------------------------

    def _tape_parts(self) -> list[tuple[str, int]]:
        """Return names of the arrays kept of each step, besides states, and their size.

        The size is in hidden states.
        """
        return [("gates", len(self.gate_order))]

    def _gates(self, own: Arrays, steps: int) -> Array:
        """Return the memory in which the gates of a block are computed."""
        return own["gates"][:steps]

    def _gates_adjoint(self, own: Arrays, steps: int) -> Array:
        """Return the memory for the adjoints of the gates of a block."""
        return own["gates"][:steps]

    def _join_biases(self) -> None:
        """Add ``bias_hh`` to ``bias_ih`` for the gates in which only their sum enters."""
        self._bias_x += self._bias_h

    @abstractmethod
    def _step(self, own: Arrays, gate: Array, t: int) -> None:
        """Advance the state from ``t`` to ``t + 1``; `gate` holds ``Wx x + b``."""

    @abstractmethod
    def _step_transposed(self, own: Arrays, gate: Array, adjoint: Arrays, t: int) -> None:
        """Pull the adjoint back from ``t + 1`` to ``t``; write the gates' adjoints to `gate`."""

    def _clear(self, own: Arrays, gates: Array, t: int, ended: NDArray[np.bool_]) -> None:
        """Zero the gates' adjoints for sequences that have ended."""
        del own
        gates[t][ended] = 0

    def _pull_back_hidden(self, own: Arrays, flat: Array, gradient: Arrays) -> None:
        """Add to the gradients of ``weight_hh`` and ``bias_hh``, from the gates' adjoints."""
        steps = len(flat) // self.batch
        before = own["h"][:steps].reshape(len(flat), self.hidden_size)
        np.matmul(flat.T, before, out=self._gradient_h)
        self._unpack(self._gradient_h, gradient[self.name("weight_hh")])
        self._unpack(np.add.reduce(flat), gradient[self.name("bias_hh")])

    # -- packing --------------------------------------------------------------------------------

    def _own(self, tape: Arrays) -> Arrays:
        parts = (*self.memory, *(part for part, _ in self._tape_parts()))
        return {part: tape[self.name(part)] for part in parts}

    def _pack(self, given: Array, packed: Array) -> None:
        """Copy weights, with the gates in `gate_order` and the logistic ones halved."""
        for place, gate in enumerate(self.gate_order):
            factor = 0.5 if place < self.num_logistic else 1.0
            np.multiply(self._block(given, gate), factor, out=self._block(packed, place))

    def _unpack(self, packed: Array, gradient: Array) -> None:
        """Add a gradient in the packed form to one in PyTorch's; overwrites `packed`."""
        for place, gate in enumerate(self.gate_order):
            block = self._block(packed, place)
            if place < self.num_logistic:
                block *= 0.5
            self._block(gradient, gate)[...] += block

    def _block(self, array: Array, gate: int) -> Array:
        return array[gate * self.hidden_size : (gate + 1) * self.hidden_size]


def _product(rows: Array, matrix: Array, out: Array) -> None:
    """Multiply all rows of a block by a matrix, in one product."""
    np.matmul(rows.reshape(-1, rows.shape[-1]), matrix, out=out.reshape(-1, out.shape[-1]))
