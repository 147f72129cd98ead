"""What makes a PyTorch model a function of its state and step alone, so that steps can be replayed.

Checkpointing takes the same steps several times: first without a graph, then, where they are to be
reversed, with one. A model is more than its parameters, and each of the rest is dealt with here:

*Randomness.* Dropout draws from torch's global generator. Every leaf has it seeded by a hash of the
evaluation's seed, the rank and the leaf's first step (`randomness`), so that a replay draws the
same numbers, and no state of a generator has to be kept. Afterwards the generator is as it was.

*Buffers* that a forward run writes, such as the running statistics of batch normalisation, would be
updated once more by every replay. `BufferWatch` refuses them.

*Kernels.* Some operations choose another kernel when no gradient is wanted (oneDNN's LSTM is one),
with another round-off. Whoever replays compares both and, if they differ, has the graph made and
dropped: see `solvers.torch.stepper`.

*Autocast* keeps copies of weights that it has cast. They belong to a graph, and one leaf's graph
is gone when the next is pulled back, so the copies are dropped at the start of every leaf.
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
    """Seed torch's generator of the CPU by a hash of some integers; put it back afterwards."""
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
    """Return what else decides which kernels run: training or not, frozen or not, autocast."""
    flags = tuple(module.training for module in modules)
    frozen = tuple(p.requires_grad for module in modules for p in module.parameters(recurse=False))
    cast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
    return flags, frozen, cast


class BufferWatch:
    """Notices when a module's buffer is written or replaced.

    A write is seen by the buffer's version counter. Some kernels write without counting: `compare`
    looks at the bytes.
    """

    def __init__(self, modules: Iterable[tuple[str, Any]]) -> None:
        self._places: list[tuple[str, Any, str]] = []
        for prefix, module in modules:
            own = module.named_buffers(prefix, recurse=False)
            self._places += [(name, module, name.rpartition(".")[2]) for name, _ in own]
        self._seen: list[tuple[Any, int]] = []

    def __bool__(self) -> bool:
        return bool(self._places)

    def note(self) -> None:
        """Note the buffers as they are now."""
        self._seen = [(buffer, buffer._version) for buffer in self._buffers()]  # noqa: SLF001

    def check(self, start: int, stop: int) -> None:
        """Raise `StepperError` if a buffer is not as it was at `note`."""
        for index, buffer in enumerate(self._buffers()):
            if buffer is not self._seen[index][0] or buffer._version != self._seen[index][1]:  # noqa: SLF001
                raise self._written(index, start, stop)

    def copies(self) -> list[Any]:
        """Return copies of all buffers."""
        return [buffer.clone() for buffer in self._buffers()]

    def compare(self, copies: list[Any], start: int, stop: int) -> None:
        """Raise `StepperError` if a buffer has other bytes than its copy; put those back."""
        changed = [
            index
            for index, (buffer, copy) in enumerate(zip(self._buffers(), copies, strict=True))
            if array_of(buffer).tobytes() != array_of(copy).tobytes()
        ]
        self.put_back(copies)
        if changed:
            raise self._written(changed[0], start, stop)

    def put_back(self, copies: list[Any]) -> None:
        """Give the buffers the bytes of their copies."""
        with torch.no_grad():
            for buffer, copy in zip(self._buffers(), copies, strict=True):
                buffer.copy_(copy)

    def _buffers(self) -> list[Any]:
        return [getattr(module, name) for _, module, name in self._places]

    def _written(self, index: int, start: int, stop: int) -> StepperError:
        steps = f"step {start}" if stop == start + 1 else f"the steps [{start}, {stop})"
        return StepperError(
            f"{steps} wrote the buffer {self._places[index][0]!r}, which a replay would do again. "
            "Make it part of the state, or freeze it: .eval() for the running statistics of a "
            "batch normalisation, or a layer normalisation instead"
        )
