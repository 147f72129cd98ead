"""One leaf of a PyTorch model: taken with its graph or without, and pulled back.

A leaf is *taped* by running its steps from a detached copy of its first state with gradients
enabled. What remains is the tape: the copy, the graph, and its ends, which are the last state and
one loss a step. It is *pulled back* by one call of autograd, with the adjoint as the vector at the
last state and ones at the losses.

Without a graph the same steps take less time. Where a kernel that is chosen without gradients gives
other bits (oneDNN's LSTM does), the graph is made and dropped: which it is, is found out by trying,
on the first leaf, whenever something that decides it has changed. The same trial measures the tape,
and looks for what a replay would spoil.
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

__all__ = ["LeafRunner", "Tape", "bits_of", "keep_freed"]

Tensors = list[Any]

MOST_KEPT = 31 << 20
"""The GNU C library learns nothing from blocks of 32 MiB and more."""


@dataclass(slots=True)
class Tape:
    """The graph of one leaf, by its ends."""

    firsts: Tensors
    """The state that it begins with: leaves of the graph."""
    inputs: Mapping[str, Any]
    """The rows of those inputs that have a gradient: leaves of the graph."""
    lasts: Tensors
    losses: Any
    """One a step, or None."""


class LeafRunner:
    """Takes a model over leaves.

    Parameters
    ----------
    unroll
        The model.
    form
        Of its states.
    modules
        By name: every module that runs, for their buffers and modes.
    parameters
        By name: what gets a gradient.
    rank
        Of this process: its randomness is its own.
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
        """Memory of the tape that was examined last."""
        self._unroll = unroll
        self._form = form
        self._modules = list(modules.values())
        self._parameters = parameters
        self._rank = rank
        self._watch = BufferWatch(modules.items())
        self._differentiable = [i for i, t in enumerate(form.tensors) if is_differentiable(t)]
        self._mode: tuple[Any, ...] | None = None
        self._needs_graph = False

    def advanced(
        self, data: LeafData, state: Tensors, seed: int, *, wanted: bool
    ) -> tuple[Tensors, Any]:
        """Return the state after a leaf and, if they are wanted, its losses."""
        if self._needs_graph:
            tape = self.taped(data, state, seed, wanted=wanted)
            return tape.lasts, tape.losses
        return self._untaped(data, state, seed, wanted=wanted)

    def taped(self, data: LeafData, state: Tensors, seed: int, *, wanted: bool = True) -> Tape:
        """Return the tape of a leaf. `state` is copied."""
        with self._replayable(data.start, data.stop, seed), torch.enable_grad():
            firsts, copies = self._linked(state)
            tensors, losses = self._run(data, copies, wanted)
        return Tape(firsts, data.leaves, tensors, losses)

    def ended(self, function: Any, state: Tensors, step: int, seed: int) -> Tape:
        """Return the tape of the final loss: that of a leaf without steps."""
        with self._replayable(step, step + 1, seed), torch.enable_grad():
            firsts, copies = self._linked(state)
            loss = function(self._form.join(copies))
        if not isinstance(loss, torch.Tensor) or loss.dim():
            raise StepperError(f"final_loss returned {loss!r}: return one number, as a tensor")
        return Tape(firsts, {}, copies, loss.reshape(1))

    def pull_back(
        self, tape: Tape, adjoint: Collection[Any]
    ) -> tuple[Tensors, dict[str, Any], dict[str, Any]]:
        """Return the gradients with respect to a leaf's first state, its inputs and parameters.

        `adjoint` and the first of the results have what can be differentiated of a state. A
        gradient is None where nothing depends on it.
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
        wanted = [*firsts, *tape.inputs.values(), *parameters.values()]
        found: Tensors = [None] * len(wanted)
        if roots:
            with torch.autocast("cpu", enabled=False), without_hooks(parameters.values()):
                found = list(torch.autograd.grad(roots, wanted, vectors, allow_unused=True))
        rest = iter(found[len(firsts) :])
        inputs = {name: next(rest) for name in tape.inputs}
        return found[: len(firsts)], inputs, {name: next(rest) for name in parameters}

    def examine(self, batch: Batch, leaf_steps: int, seed: int) -> None:
        """Take the first leaf with and without a graph, if that may give something new.

        Raises
        ------
        StepperError
            It wrote a buffer (which is put back), or it uses a parameter that would get no
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
                tape = self.taped(data, batch.initial, seed)
            state = [tensor.clone() for tensor in batch.initial]
            tensors, _ = self._untaped(data, state, seed, wanted=True)
        except BaseException:
            self._watch.put_back(copies)
            raise
        self._watch.compare(copies, 0, data.stop)
        graph = graph_before([*tape.lasts, *([] if tape.losses is None else [tape.losses])])
        self._refuse_others(graph.leaves, tape)
        self.leaf_bytes = saved.total + graph.node_bytes
        self._needs_graph = bits_of(tensors) != bits_of(tape.lasts)
        self._mode = mode
        keep_freed(2 * self.leaf_bytes)

    # -- inside -------------------------------------------------------------------------------

    @contextmanager
    def _replayable(self, start: int, stop: int, seed: int) -> Generator[None, None, None]:
        self._watch.note()
        with randomness(seed, self._rank, start):
            yield
        self._watch.check(start, stop)

    def _untaped(
        self, data: LeafData, state: Tensors, seed: int, *, wanted: bool
    ) -> tuple[Tensors, Any]:
        with self._replayable(data.start, data.stop, seed), torch.no_grad():
            return self._run(data, state, wanted)

    def _linked(self, state: Tensors) -> tuple[Tensors, Tensors]:
        """Return leaves of a new graph, and copies that are linked to them: a cell may write."""
        firsts = [tensor.detach() for tensor in state]
        for index in self._differentiable:
            firsts[index].requires_grad_()
        return firsts, [first.clone() for first in firsts]

    def _run(self, data: LeafData, state: Tensors, wanted: bool) -> tuple[Tensors, Any]:
        check = self._watch.check if self._watch else _nothing
        tree: Tree = self._form.join(state)
        tensors, made = self._unroll.run(tree, data, self._form, check)
        return tensors, self._unroll.losses(made, data) if wanted else None

    def _refuse_others(self, leaves: Tensors, tape: Tape) -> None:
        known = [*tape.firsts, *tape.inputs.values(), *self._parameters.values()]
        for other in leaves:
            if not any(other is tensor for tensor in known):
                raise StepperError(
                    f"the model uses a tensor of shape {tuple(other.shape)} that requires a "
                    "gradient and would get none: give the module that it is a parameter of as "
                    "modules=. (If it was frozen until now, make the sequence anew)"
                )


def keep_freed(nbytes: int) -> None:
    """Have the C library keep so much memory when it is freed, for the next leaf.

    A graph is freed as a whole. What then lies at the end of the heap is given back to the system,
    and every page of it costs a fault when the next leaf is taped: a fifth of the time, for a leaf
    of 5 MiB. The GNU library gives back no more than twice the largest block that was ever freed;
    one of these bytes, never touched, tells it. Other libraries take no notice.
    """
    torch.empty(min(nbytes, MOST_KEPT), dtype=torch.uint8)


def bits_of(tensors: Tensors) -> list[bytes]:
    """Return the bytes of tensors."""
    return [array_of(tensor).tobytes() for tensor in tensors]


def _nothing(start: int, stop: int) -> None:
    """Check nothing: there are no buffers."""
    del start, stop
