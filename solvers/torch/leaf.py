"""One leaf of a PyTorch model: run with or without its graph, and pulled back.

A leaf is *recorded* by running its steps from a detached copy of its first state with gradients
enabled. The tape is that copy, the graph and its outputs: the last state and one loss per step. It
is *pulled back* by one call of autograd, with the adjoint as the vector for the last state and ones
for the losses.

Running the same steps without a graph takes less time. But some kernels that torch chooses without
gradients have other bits (oneDNN's LSTM, for example); then the graph is built and discarded. A
trial run of the first leaf decides between the two, whenever training mode, autocast or the like
have changed. It also measures the tape, and finds models that cannot be replayed, and losses that
depend on how steps are grouped.

A tensor that requires a gradient but is not known here would get none, without an error. So every
graph is searched for such tensors before it is pulled back: a module may be used only from some
step on, or only by the final loss.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch

from adjoint.errors import StepperError
from solvers.torch.batch import Batch
from solvers.torch.graph import SavedBytes, graph_before, without_hooks
from solvers.torch.modules import Modules
from solvers.torch.replay import (
    BufferWatch,
    BufferWrittenError,
    mode_of,
    randomness,
    without_other_numbers,
)
from solvers.torch.rows import LeafData
from solvers.torch.trees import StateForm, Tree, bytes_of, is_differentiable
from solvers.torch.unroll import FunctionUnroll, Unroll

__all__ = ["LeafRunner", "Tape", "bits_of", "other_results", "raise_trim_threshold"]

Tensors = list[Any]

MAX_BLOCK_BYTES = 31 << 20
"""Largest block from which malloc adapts its thresholds: in the GNU C library only blocks below
32 MiB (DEFAULT_MMAP_THRESHOLD_MAX on 64-bit systems, mallopt(3))."""


@dataclass(slots=True)
class Tape:
    """The graph of one leaf, by its inputs and outputs."""

    where: str
    """The steps, for messages."""
    firsts: Tensors
    """Tensors of the first state: leaves of the graph."""
    inputs: Mapping[str, Any]
    """Rows of the inputs that have a gradient, by name: leaves of the graph."""
    lasts: Tensors
    """Tensors of the last state."""
    losses: Any
    """One loss per step; None without losses."""


class Findings(NamedTuple):
    """What a trial run of the first leaf found out about a model in one mode."""

    needs_graph: bool = False
    """Whether running without a graph would give other bits."""
    leaf_bytes: int = 0
    """Memory of the leaf's tape."""
    scratch: tuple[int, ...] = ()
    """See `solvers.torch.replay.BufferWatch`."""


class LeafRunner:
    """Runs the leaves of a model.

    Parameters
    ----------
    unroll
        The model.
    form
        Form of its states.
    rank
        Rank of this process, which enters the seeds of its random numbers.
    modules
        The modules that run, and their parameters.
    """

    def __init__(
        self,
        unroll: Unroll,
        form: StateForm,
        rank: int,
        modules: Modules,
    ) -> None:
        self._unroll = unroll
        self._form = form
        self._modules = list(modules.modules.values())
        self._parameters = modules.parameters
        self._rank = rank
        self._watch = BufferWatch(modules.modules)
        self._differentiable = [i for i, t in enumerate(form.tensors) if is_differentiable(t)]
        self._findings: dict[tuple[Any, ...], Findings] = {}
        self._found = Findings()

    @property
    def moving(self) -> list[int]:
        """Indices of the tensors of a state that are differentiable."""
        return self._differentiable

    @property
    def separates_losses(self) -> bool:
        """Whether losses are functions of what the model returns, and not part of the model."""
        return not isinstance(self._unroll, FunctionUnroll)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that require a gradient, by name."""
        return {name: p for name, p in self._parameters.items() if p.requires_grad}

    @property
    def leaf_bytes(self) -> int:
        """Memory of the tape of the leaf that `examine` ran."""
        return self._found.leaf_bytes

    def advance(
        self, data: LeafData, state: Tensors, seed: int, *, with_losses: bool
    ) -> tuple[Tensors, Any]:
        """Return the state after a leaf and, if asked for, its losses."""
        if self._found.needs_graph:
            tape = self.record(data, state, seed, with_losses=with_losses)
            return tape.lasts, tape.losses
        return self._without_graph(data, state, seed, with_losses=with_losses)

    def record(
        self, data: LeafData, state: Tensors, seed: int, *, with_losses: bool = True
    ) -> Tape:
        """Run a leaf, from a copy of `state`, and return its tape."""
        with self._replayable(data.start, data.stop, seed), torch.enable_grad():
            firsts, copies = self._linked(state)
            tensors, outputs = self._run(data, copies)
            losses = self._unroll.losses(outputs, data) if with_losses else None
        return Tape(str(data), firsts, data.leaves, tensors, losses)

    def record_outputs(self, data: LeafData, state: Tensors, seed: int) -> tuple[Tape, Any, Any]:
        """Do as `record`, with losses of detached outputs; return these, and the outputs."""
        with self._replayable(data.start, data.stop, seed), torch.enable_grad():
            firsts, copies = self._linked(state)
            tensors, outputs = self._run(data, copies)
            detached = [output.detach().requires_grad_() for output in outputs]
            if isinstance(outputs, torch.Tensor):
                losses = self._unroll.losses(torch.stack(detached), data)
            else:
                losses = self._unroll.losses(detached, data)
        return Tape(str(data), firsts, data.leaves, tensors, losses), detached, list(outputs)

    def record_end(self, function: Any, state: Tensors, step: int, seed: int) -> Tape:
        """Compute the final loss and return its tape, as of a leaf without steps."""
        with self._replayable(step, step + 1, seed), torch.enable_grad():
            firsts, copies = self._linked(state)
            loss = function(self._form.join(copies))
        if not isinstance(loss, torch.Tensor) or loss.dim():
            raise StepperError(f"final_loss returned {loss!r}: return a tensor of one number")
        return Tape("the final loss", firsts, {}, copies, loss.reshape(1))

    def pull_back(
        self, tape: Tape, adjoint: Collection[Any]
    ) -> tuple[Tensors, dict[str, Any], dict[str, Any]]:
        """Return the gradients with respect to the first state, the inputs and the parameters.

        `adjoint` and the gradients of the first state have only the differentiable tensors of a
        state. A gradient is None if nothing depends on its tensor.

        Raises
        ------
        StepperError
            The graph begins at a tensor that would get no gradient, or before this leaf.
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
        parameters = self.parameters
        tensors = [*firsts, *tape.inputs.values(), *parameters.values()]
        gradients: Tensors = [None] * len(tensors)
        if roots:
            self._refuse_others(graph_before(roots).leaves, tape)
            with torch.autocast("cpu", enabled=False), without_hooks(parameters.values()):
                gradients = _gradients(roots, tensors, vectors, tape.where)
        rest = iter(gradients[len(firsts) :])
        inputs = {name: next(rest) for name in tape.inputs}
        return gradients[: len(firsts)], inputs, {name: next(rest) for name in parameters}

    def examine(self, batch: Batch, steps: int, seed: int, *, leaf_steps: int) -> None:
        """Run the first steps with and without a graph, once for each mode of the modules.

        From then on memory for the tape of `leaf_steps` steps is not given back between leaves.

        Raises
        ------
        StepperError
            The model wrote a buffer, gives other results when it runs again, or uses a parameter
            that would get no gradient; or the loss of a row depends on other rows.
        """
        mode = mode_of(self._modules)
        known = self._findings.get(mode)
        data = None if known is not None else batch.read(0, steps)
        if data is not None:
            self._watch.scratch = ()
            try:
                known = self._examined(data, batch.initial, seed)
            except BufferWrittenError:
                run = partial(self._results, data, batch.initial, seed, watched=False)
                self._watch.scratch = self._watch.find_scratch(run)
                if not self._watch.scratch:
                    raise
                known = self._examined(data, batch.initial, seed)
            self._findings[mode] = known
            raise_trim_threshold(2 * known.leaf_bytes * leaf_steps // steps)
        if known is not None:
            self._found, self._watch.scratch = known, known.scratch

    def _examined(self, data: LeafData, state: Tensors, seed: int) -> "Findings":
        parameters = [p for module in self._modules for p in module.parameters(recurse=False)]
        with self._watch.copies(data.start, data.stop):
            with SavedBytes([*data.inputs, *parameters]) as saved:
                tape = self.record(data, state, seed)
            recorded = bits_of([*tape.lasts, tape.losses])
            needs_graph = self._results(data, state, seed) != recorded
            if needs_graph:
                again = self.record(data, state, seed)
                if bits_of([*again.lasts, again.losses]) != recorded:
                    raise other_results(data)
            self._compare_groupings(data, state, seed)
        graph = graph_before([*tape.lasts, *([] if tape.losses is None else [tape.losses])])
        self._refuse_others(graph.leaves, tape)
        return Findings(needs_graph, saved.total + graph.node_bytes, self._watch.scratch)

    # -- running ------------------------------------------------------------------------------

    @contextmanager
    def _replayable(self, start: int, stop: int, seed: int) -> Generator[None, None, None]:
        numbers = without_other_numbers(start, stop)
        with self._watch.leaf(start, stop), randomness(seed, self._rank, start), numbers:
            yield

    def _without_graph(
        self, data: LeafData, state: Tensors, seed: int, *, with_losses: bool
    ) -> tuple[Tensors, Any]:
        with self._replayable(data.start, data.stop, seed), torch.no_grad():
            tensors, outputs = self._run(data, state)
            return tensors, self._unroll.losses(outputs, data) if with_losses else None

    def _linked(self, state: Tensors) -> tuple[Tensors, Tensors]:
        """Return leaves of a new graph, and copies in the graph, which a cell may write to."""
        firsts = [tensor.detach() for tensor in state]
        for index in self._differentiable:
            firsts[index].requires_grad_()
        return firsts, [first.clone() for first in firsts]

    def _run(self, data: LeafData, state: Tensors) -> tuple[Tensors, Any]:
        return self._unroll.run(self._form.join(state), data, self._form, self._watch.check)

    # -- trials -------------------------------------------------------------------------------

    def _results(
        self, data: LeafData, state: Tensors, seed: int, *, watched: bool = True
    ) -> list[bytes]:
        """Return the bits of last state and losses, without a graph; `state` is not changed."""
        copies = [tensor.clone() for tensor in state]
        if watched:
            tensors, losses = self._without_graph(data, copies, seed, with_losses=True)
            return bits_of([*tensors, losses])
        with randomness(seed, self._rank, data.start), torch.no_grad():
            tree: Tree = self._form.join(copies)
            tensors, outputs = self._unroll.run(tree, data, self._form, _no_check)
            return bits_of([*tensors, self._unroll.losses(outputs, data)])

    def _compare_groupings(self, data: LeafData, state: Tensors, seed: int) -> None:
        copies = [tensor.clone() for tensor in state]
        with self._replayable(data.start, data.stop, seed), torch.no_grad():
            _, outputs = self._run(data, copies)
            self._unroll.compare_groupings(outputs, data)

    def _refuse_others(self, leaves: Tensors, tape: Tape) -> None:
        known = {id(tensor) for tensor in (*tape.firsts, *tape.inputs.values())}
        known.update(map(id, self._parameters.values()))
        for other in leaves:
            if id(other) not in known:
                raise StepperError(
                    f"{tape.where} used a tensor of shape {tuple(other.shape)} that requires a "
                    "gradient and would get none: pass the module that it is a parameter of in "
                    "modules=, or detach it"
                )


def other_results(data: LeafData) -> StepperError:
    """Return the error of a leaf that was computed twice, with different results."""
    return StepperError(
        f"{data} had other results when they were taken again: the model and its loss must be "
        "functions of state, inputs and step. Numbers from torch's global generator are drawn "
        "again, those of NumPy, of Python's random or of a torch.Generator of your own are not; "
        "nor may a module keep something else between steps"
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
    """Return the bytes of tensors; those of None are empty."""
    return list(map(bytes_of, tensors))


def _gradients(roots: Tensors, tensors: Tensors, vectors: Tensors, where: str) -> Tensors:
    try:
        return list(torch.autograd.grad(roots, tensors, vectors, allow_unused=True))
    except RuntimeError as error:
        if "backward through the graph a second time" not in str(error):
            raise
        raise StepperError(
            f"{where} used a tensor that was computed before, from something that requires a "
            "gradient: a model may use only its state, its inputs, and parameters themselves. "
            "Compute that tensor in the cell"
        ) from error


def _no_check(start: int, stop: int) -> None:
    """Do nothing: buffers may be written."""
    del start, stop
