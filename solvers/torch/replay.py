"""Makes the steps of a PyTorch model repeatable: functions of state and step alone.

Checkpointing takes the same steps several times, first without a graph and later with one. Besides
its parameters, the result of a model may depend on the following:

*Randomness.* Dropout draws from torch's global generator. It is seeded for every leaf by a hash of
the evaluation's seed, the rank and the leaf's first step (`randomness`), so that a replay draws the
same numbers without any stored generator state. Afterwards the generator's state is restored. What
is drawn from the global generators of Python and NumPy would be other numbers in a replay, and in a
leaf of another length: a leaf that moves one of them is refused (`without_other_numbers`).

*Buffers* written in the forward pass, such as the running statistics of batch normalisation, would
be updated again by every replay. `BufferWatch` refuses them, unless nothing depends on what they
held before.

*Kernels.* Some operations choose another kernel, with other round-off, when no gradient is needed
(oneDNN's LSTM, for example). `solvers.torch.leaf` compares both and, if they differ, always builds
the graph.

*Autocast* caches the weights that it casts. A cached weight belongs to a graph, which is freed with
its leaf, so the cache is cleared at the start of every leaf.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

import ctypes
import math
import pickle
import random
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from adjoint.errors import StepperError
from solvers.torch.trees import bytes_of

__all__ = ["BufferWatch", "BufferWrittenError", "mode_of", "randomness", "without_other_numbers"]

MT19937_BYTES = 625 * 4
"""Of the state of NumPy's usual global generator: 624 words, and the position among them."""


@contextmanager
def randomness(*numbers: int) -> Generator[None, None, None]:
    """Seed torch's CPU generator by a hash of integers, and restore its state afterwards."""
    kept = torch.get_rng_state()
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    torch.default_generator.manual_seed(int(seed))
    if torch.is_autocast_enabled("cpu"):
        torch.clear_autocast_cache()
    try:
        yield
    finally:
        torch.set_rng_state(kept)


@contextmanager
def without_other_numbers(start: int, stop: int) -> Generator[None, None, None]:
    """Raise `StepperError` if the steps draw from the global generator of Python or NumPy."""
    before = _other_generators()
    yield
    for (name, state), (_, other) in zip(before, _other_generators(), strict=True):
        if state != other:
            raise StepperError(
                f"{_named(start, stop)} drew numbers from {name}, and would draw others when taken "
                "again, or measured: draw from torch's global generator, or before the call"
            )


def _other_generators() -> list[tuple[str, Any]]:
    """Return names and states of the global generators that torch does not draw from.

    NumPy's own copy of its state takes as long as a small step, so the memory is read. Not seen is
    a normal number that NumPy had kept, as it makes two at a time; the next one is, so a replay.
    """
    bits = np.random.get_bit_generator()
    if isinstance(bits, np.random.MT19937):
        state = ctypes.string_at(bits.ctypes.state_address, MT19937_BYTES)
    else:
        state = pickle.dumps(bits.state)
    return [("numpy.random", state), ("random", random.getstate())]


def mode_of(modules: Iterable[Any]) -> tuple[Any, ...]:
    """Return what affects the choice of kernels: training mode, frozen parameters, autocast."""
    flags = tuple(module.training for module in modules)
    frozen = tuple(p.requires_grad for module in modules for p in module.parameters(recurse=False))
    cast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
    return flags, frozen, cast


class BufferWrittenError(StepperError):
    """A step wrote a buffer of a module."""


class BufferWatch:
    """Detects that a module's buffer was written or replaced.

    A write increases the buffer's version counter, except in some kernels, for which `copies`
    compares the bytes.

    A spiking cell may keep in a buffer what it returns as its state as well, without ever reading
    the buffer: this is *scratch*. It gets other contents at the start of every leaf, and afterwards
    the buffer is what it was before.
    """

    def __init__(self, modules: Mapping[str, Any]) -> None:
        self._places: list[tuple[str, Any, str]] = []
        for prefix, module in modules.items():
            own = module.named_buffers(prefix, recurse=False)
            self._places += [(name, module, name.rpartition(".")[2]) for name, _ in own]
        self.scratch: tuple[int, ...] = ()
        """Indices of the buffers that are scratch."""
        self._noted: list[tuple[int, Any, int]] = []

    @contextmanager
    def leaf(self, start: int, stop: int) -> Generator[None, None, None]:
        """Raise `BufferWrittenError` if a buffer is written that is not scratch."""
        with self._replaced(self._poisoned(self.scratch, 0)):
            self._noted = [
                (index, buffer, buffer._version)  # noqa: SLF001
                for index, buffer in enumerate(self._buffers())
                if index not in self.scratch
            ]
            yield
            self.check(start, stop)

    def check(self, start: int, stop: int) -> None:
        """Raise `BufferWrittenError` if a buffer was written since the start of the leaf."""
        for index, noted, version in self._noted:
            buffer = self._buffer(index)
            if buffer is not noted or buffer._version != version:  # noqa: SLF001
                raise self._written(index, start, stop)

    @contextmanager
    def copies(self, start: int, stop: int) -> Generator[None, None, None]:
        """Replace the buffers by copies; raise `BufferWrittenError` if their bytes change."""
        with self._copied() as before:
            yield
            for index in self._changed(before):
                if index not in self.scratch:
                    raise self._written(index, start, stop)

    def find_scratch(self, run: Callable[[], list[bytes]]) -> tuple[int, ...]:
        """Return the buffers that a run writes, if they are scratch; else none.

        They are if neither the result of the run nor what it leaves in them depends on what they
        held before. So running statistics are not: their last value depends on the first.
        """
        with self._copied() as before:
            run()
            written = self._changed(before)
        results: list[list[bytes]] = []
        for variant in range(3):
            with self._replaced(self._poisoned(written, variant)):
                results.append([*run(), *(bytes_of(self._buffer(index)) for index in written)])
        return tuple(written) if all(result == results[0] for result in results) else ()

    @contextmanager
    def _copied(self) -> Generator[list[bytes], None, None]:
        """Replace all buffers by copies; yield the bytes of each."""
        copies = {index: buffer.clone() for index, buffer in enumerate(self._buffers())}
        with self._replaced(copies):
            yield [bytes_of(copy) for copy in copies.values()]

    def _changed(self, before: list[bytes]) -> list[int]:
        """Return the indices of the buffers whose bytes are not those before."""
        return [i for i, buffer in enumerate(self._buffers()) if bytes_of(buffer) != before[i]]

    @contextmanager
    def _replaced(self, tensors: Mapping[int, Any]) -> Generator[None, None, None]:
        originals = {index: self._buffer(index) for index in tensors}
        self._put(tensors)
        try:
            yield
        finally:
            self._put(originals)

    def _put(self, tensors: Mapping[int, Any]) -> None:
        for index, tensor in tensors.items():
            _, module, key = self._places[index]
            module._buffers[key] = tensor  # noqa: SLF001

    def _poisoned(self, indices: Iterable[int], variant: int) -> dict[int, Any]:
        """Return tensors like some buffers, filled with what no step would leave in them."""
        filled: dict[int, Any] = {}
        for index in indices:
            buffer = self._buffer(index)
            floating = buffer.is_floating_point() or buffer.is_complex()
            values: tuple[Any, ...] = (math.nan, math.inf, -math.inf)
            if not floating:
                whole = buffer.dtype is not torch.bool
                values = (torch.iinfo(buffer.dtype).max, 0, 1) if whole else (True, False, True)
            filled[index] = torch.full_like(buffer, values[variant])
        return filled

    def _buffers(self) -> list[Any]:
        return [self._buffer(index) for index in range(len(self._places))]

    def _buffer(self, index: int) -> Any:
        _, module, key = self._places[index]
        return module._buffers[key]  # noqa: SLF001

    def _written(self, index: int, start: int, stop: int) -> BufferWrittenError:
        return BufferWrittenError(
            f"{_named(start, stop)} wrote the buffer {self._places[index][0]!r}, and a replay "
            "would write it again. Make it part of the state or freeze it; for batch normalisation "
            "call .eval(), or use layer normalisation"
        )


def _named(start: int, stop: int) -> str:
    return f"step {start}" if stop == start + 1 else f"the steps [{start}, {stop})"
