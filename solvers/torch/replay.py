"""Makes the steps of a PyTorch model repeatable: functions of state and step alone.

Checkpointing takes the same steps several times, first without a graph and later with one. Besides
its parameters, the result of a model may depend on the following:

*Randomness.* Dropout draws from torch's global generator. It is seeded for every leaf by a hash of
the evaluation's seed, the rank and the leaf's first step (`randomness`), so that a replay draws the
same numbers without any stored generator state. Afterwards the generator's state is restored.

*Buffers* written in the forward pass, such as the running statistics of batch normalisation, would
be updated again by every replay. `BufferWatch` refuses them.

*Kernels.* Some operations choose another kernel, with other round-off, when no gradient is needed
(oneDNN's LSTM, for example). `solvers.torch.leaf` compares both and, if they differ, always builds
the graph.

*Autocast* caches the weights that it casts. A cached weight belongs to a graph, which is freed with
its leaf, so the cache is cleared at the start of every leaf.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from adjoint.errors import StepperError
from solvers.torch.trees import array_of

__all__ = ["BufferWatch", "mode_of", "randomness"]


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


def mode_of(modules: Iterable[Any]) -> tuple[Any, ...]:
    """Return what affects the choice of kernels: training mode, frozen parameters, autocast."""
    flags = tuple(module.training for module in modules)
    frozen = tuple(p.requires_grad for module in modules for p in module.parameters(recurse=False))
    cast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
    return flags, frozen, cast


class BufferWatch:
    """Detects that a module's buffer was written or replaced.

    A write increases the buffer's version counter, except in some kernels: `compare` compares the
    bytes.
    """

    def __init__(self, modules: Iterable[tuple[str, Any]]) -> None:
        self._places: list[tuple[str, Any, str]] = []
        for prefix, module in modules:
            own = module.named_buffers(prefix, recurse=False)
            self._places += [(name, module, name.rpartition(".")[2]) for name, _ in own]
        self._versions: list[tuple[Any, int]] = []

    def __bool__(self) -> bool:
        return bool(self._places)

    def note(self) -> None:
        """Record the present version of every buffer."""
        self._versions = [(buffer, buffer._version) for buffer in self._buffers()]  # noqa: SLF001

    def check(self, start: int, stop: int) -> None:
        """Raise `StepperError` if a buffer has changed since `note`."""
        for index, (buffer, (noted, version)) in enumerate(
            zip(self._buffers(), self._versions, strict=True)
        ):
            if buffer is not noted or buffer._version != version:  # noqa: SLF001
                raise self._written(index, start, stop)

    def copies(self) -> list[Any]:
        """Return copies of all buffers."""
        return [buffer.clone() for buffer in self._buffers()]

    def compare(self, copies: list[Any], start: int, stop: int) -> None:
        """Restore the copies, and raise `StepperError` if a buffer had other bytes."""
        changed = [
            index
            for index, (buffer, copy) in enumerate(zip(self._buffers(), copies, strict=True))
            if array_of(buffer).tobytes() != array_of(copy).tobytes()
        ]
        self.restore(copies)
        if changed:
            raise self._written(changed[0], start, stop)

    def restore(self, copies: list[Any]) -> None:
        """Copy the bytes of copies to the buffers."""
        with torch.no_grad():
            for buffer, copy in zip(self._buffers(), copies, strict=True):
                buffer.copy_(copy)

    def _buffers(self) -> list[Any]:
        return [getattr(module, name) for _, module, name in self._places]

    def _written(self, index: int, start: int, stop: int) -> StepperError:
        steps = f"step {start}" if stop == start + 1 else f"the steps [{start}, {stop})"
        return StepperError(
            f"{steps} wrote the buffer {self._places[index][0]!r}, and a replay would write it "
            "again. Make it part of the state or freeze it; for batch normalisation call .eval(), "
            "or use layer normalisation"
        )
