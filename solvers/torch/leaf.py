"""One leaf of a PyTorch model: run with or without its graph, and pulled back.

A leaf is *recorded* by running its steps from a detached copy of its first state with gradients
enabled. The tape is that copy, the graph and its outputs: the last state and one loss per step. It
is *pulled back* by one call of autograd, with the adjoint as the vector for the last state and ones
for the losses.

Running the same steps without a graph takes less time. But some kernels that torch chooses without
gradients have other bits (oneDNN's LSTM, for example); then the graph is built and discarded. A
trial run of the first leaf decides between the two, whenever training mode, autocast or the like
have changed. It also measures the tape, and finds models that cannot be replayed.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from adjoint.errors import StepperError
from solvers.torch.batch import Batch
from solvers.torch.graph import SavedBytes, graph_before, without_hooks
from solvers.torch.replay import BufferWatch, mode_of, randomness
from solvers.torch.trees import StateForm, Tree, array_of, is_differentiable
from solvers.torch.unroll import LeafData, Unroll

__all__ = ["LeafRunner", "Tape", "bits_of", "raise_trim_threshold"]

Tensors = list[Any]

MAX_BLOCK_BYTES = 31 << 20
"""Largest block from which malloc adapts its thresholds: in the GNU C library only blocks below
32 MiB (DEFAULT_MMAP_THRESHOLD_MAX on 64-bit systems, mallopt(3))."""


@dataclass(slots=True)
class Tape:
    """The graph of one leaf, by its inputs and outputs."""

    firsts: Tensors
    """Tensors of the first state: leaves of the graph."""
    inputs: Mapping[str, Any]
    """Rows of the inputs that have a gradient, by name: leaves of the graph."""
    lasts: Tensors
    """Tensors of the last state."""
    losses: Any
    """One loss per step; None without losses."""


class LeafRunner:
    """Runs the leaves of a model.

    Parameters
    ----------
    unroll
        The model.
    form
        Form of its states.
    modules
        All modules that run, by name, for their buffers and modes.
    parameters
        Parameters that have a gradient, by name.
    rank
        Rank of this process, which enters the seeds of its random numbers.
    """

    def __init__(
        self,
        unroll: Unroll,
        form: StateForm,
        modules: Mapping[str, Any],
        parameters: Mapping[str, Any],
        rank: int,
    ) -> None:
        self.leaf_bytes = 0
        """Memory of the tape of the leaf that `examine` ran."""
        self._unroll = unroll
        self._form = form
        self._modules = list(modules.values())
        self._parameters = parameters
        self._rank = rank
        self._watch = BufferWatch(modules.items())
        self._differentiable = [i for i, t in enumerate(form.tensors) if is_differentiable(t)]
        self._mode: tuple[Any, ...] | None = None
        self._needs_graph = False

    def advance(
        self, data: LeafData, state: Tensors, seed: int, *, with_losses: bool
    ) -> tuple[Tensors, Any]:
        """Return the state after a leaf and, if asked for, its losses."""
        if self._needs_graph:
            tape = self.record(data, state, seed, with_losses=with_losses)
            return tape.lasts, tape.losses
        return self._without_graph(data, state, seed, with_losses=with_losses)

    def record(
        self, data: LeafData, state: Tensors, seed: int, *, with_losses: bool = True
    ) -> Tape:
        """Run a leaf, from a copy of `state`, and return its tape."""
        with self._replayable(data.start, data.stop, seed), torch.enable_grad():
            firsts, copies = self._linked(state)
            tensors, losses = self._run(data, copies, with_losses)
        return Tape(firsts, data.leaves, tensors, losses)

    def record_end(self, function: Any, state: Tensors, step: int, seed: int) -> Tape:
        """Compute the final loss and return its tape, as of a leaf without steps."""
        with self._replayable(step, step + 1, seed), torch.enable_grad():
            firsts, copies = self._linked(state)
            loss = function(self._form.join(copies))
        if not isinstance(loss, torch.Tensor) or loss.dim():
            raise StepperError(f"final_loss returned {loss!r}: return a tensor of one number")
        return Tape(firsts, {}, copies, loss.reshape(1))

    def pull_back(
        self, tape: Tape, adjoint: Collection[Any]
    ) -> tuple[Tensors, dict[str, Any], dict[str, Any]]:
        """Return the gradients with respect to the first state, the inputs and the parameters.

        `adjoint` and the gradients of the first state have only the differentiable tensors of a
        state. A gradient is None if nothing depends on its tensor.
        """
        roots: Tensors = []
        vectors: Tensors = []
        if tape.losses is not None and tape.losses.requires_grad:
            roots.append(tape.losses)
            vectors.append(torch.ones_like(tape.losses))
        for index, vector in zip(self._differentiable, adjoint, strict=True):
            if tape.lasts[index].requires_grad:
                roots.append(tape.lasts[index])
                vectors.append(vector.clone())
        firsts = [tape.firsts[index] for index in self._differentiable]
        parameters = {name: p for name, p in self._parameters.items() if p.requires_grad}
        tensors = [*firsts, *tape.inputs.values(), *parameters.values()]
        gradients: Tensors = [None] * len(tensors)
        if roots:
            with torch.autocast("cpu", enabled=False), without_hooks(parameters.values()):
                gradients = list(torch.autograd.grad(roots, tensors, vectors, allow_unused=True))
        rest = iter(gradients[len(firsts) :])
        inputs = {name: next(rest) for name in tape.inputs}
        return gradients[: len(firsts)], inputs, {name: next(rest) for name in parameters}

    def examine(self, batch: Batch, leaf_steps: int, seed: int) -> None:
        """Run the first leaf with and without a graph, unless nothing changed since the last time.

        Raises
        ------
        StepperError
            The model wrote a buffer (which is restored), or uses a parameter that would get no
            gradient.
        """
        mode = mode_of(self._modules)
        data = batch.read(0, leaf_steps)
        if mode == self._mode or data is None:
            return
        copies = self._watch.copies()
        parameters = [p for module in self._modules for p in module.parameters(recurse=False)]
        try:
            with SavedBytes([*data.inputs, *parameters]) as saved:
                tape = self.record(data, batch.initial, seed)
            state = [tensor.clone() for tensor in batch.initial]
            tensors, _ = self._without_graph(data, state, seed, with_losses=True)
        except BaseException:
            self._watch.restore(copies)
            raise
        self._watch.compare(copies, 0, data.stop)
        graph = graph_before([*tape.lasts, *([] if tape.losses is None else [tape.losses])])
        self._refuse_others(graph.leaves, tape)
        self.leaf_bytes = saved.total + graph.node_bytes
        self._needs_graph = bits_of(tensors) != bits_of(tape.lasts)
        self._mode = mode
        raise_trim_threshold(2 * self.leaf_bytes)

    # -- running ------------------------------------------------------------------------------

    @contextmanager
    def _replayable(self, start: int, stop: int, seed: int) -> Generator[None, None, None]:
        self._watch.note()
        with randomness(seed, self._rank, start):
            yield
        self._watch.check(start, stop)

    def _without_graph(
        self, data: LeafData, state: Tensors, seed: int, *, with_losses: bool
    ) -> tuple[Tensors, Any]:
        with self._replayable(data.start, data.stop, seed), torch.no_grad():
            return self._run(data, state, with_losses)

    def _linked(self, state: Tensors) -> tuple[Tensors, Tensors]:
        """Return leaves of a new graph, and copies in the graph, which a cell may write to."""
        firsts = [tensor.detach() for tensor in state]
        for index in self._differentiable:
            firsts[index].requires_grad_()
        return firsts, [first.clone() for first in firsts]

    def _run(self, data: LeafData, state: Tensors, with_losses: bool) -> tuple[Tensors, Any]:
        check = self._watch.check if self._watch else _no_check
        tree: Tree = self._form.join(state)
        tensors, outputs = self._unroll.run(tree, data, self._form, check)
        return tensors, self._unroll.losses(outputs, data) if with_losses else None

    def _refuse_others(self, leaves: Tensors, tape: Tape) -> None:
        known = [*tape.firsts, *tape.inputs.values(), *self._parameters.values()]
        for other in leaves:
            if not any(other is tensor for tensor in known):
                raise StepperError(
                    f"the model uses a tensor of shape {tuple(other.shape)} that requires a "
                    "gradient and would get none: pass the module that it is a parameter of in "
                    "modules=. (If it was frozen until now, construct the sequence again)"
                )


def raise_trim_threshold(nbytes: int) -> None:
    """Make the GNU C library keep up to `nbytes` of freed memory, for the next leaf.

    The graph of a leaf is freed as a whole. malloc returns freed memory at the top of the heap to
    the system, and every page of it costs a page fault when the next leaf is recorded: a fifth of
    the time, measured for a leaf of 5 MiB. The library keeps up to twice the largest block that was
    ever allocated by mmap and freed (mallopt(3), M_TRIM_THRESHOLD), so one block is allocated here
    and freed untouched. With other libraries this has no effect.
    """
    torch.empty(min(nbytes, MAX_BLOCK_BYTES), dtype=torch.uint8)


def bits_of(tensors: Tensors) -> list[bytes]:
    """Return the bytes of tensors."""
    return [array_of(tensor).tobytes() for tensor in tensors]


def _no_check(start: int, stop: int) -> None:
    """Do nothing: the model has no buffers to check."""
    del start, stop
