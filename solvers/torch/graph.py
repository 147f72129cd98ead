"""Looking into torch's graphs: which tensors one begins with, and how much memory one holds."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch

__all__ = ["Graph", "SavedBytes", "graph_before", "without_hooks"]

NODE_BYTES = 1024
"""A node with what belongs to it: edges, the tensors' own records, what the allocator adds.

Measured with an LSTM cell so small that it is nearly all there is: 974 and 1076 bytes."""


class SavedBytes:
    """A context that counts the memory that graphs made within it keep for their backward pass.

    Storages are counted once each, however many tensors share them.

    Parameters
    ----------
    others
        Tensors that would be there anyway: parameters, data.
    """

    def __init__(self, others: Iterable[Any]) -> None:
        self._found: dict[int, int] = {}
        self._others = {tensor.untyped_storage().data_ptr() for tensor in others}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack)

    @property
    def total(self) -> int:
        """Bytes, so far."""
        return sum(self._found.values())

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hooks.__exit__(kind, error, trace)

    def _pack(self, tensor: Any) -> Any:
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._others:
                self._found[storage.data_ptr()] = storage.nbytes()
        # Detached: a node that keeps its own output would keep itself alive.
        return tensor.detach()


class Graph(NamedTuple):
    """What there is before some roots."""

    leaves: list[Any]
    """The tensors at which it begins, once each: what `backward` fills. Their order depends on
    nothing but the graph."""
    node_bytes: int
    """Memory of its nodes, without the tensors that they save."""


def graph_before(roots: Iterable[Any]) -> Graph:
    """Look through the graph that ends in the roots."""
    given = list(roots)
    found = {id(root): root for root in given if root.is_leaf and root.requires_grad}
    waiting = [root.grad_fn for root in given if root.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            found.setdefault(id(node.variable), node.variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return Graph(list(found.values()), NODE_BYTES * len(seen))


@contextmanager
def without_hooks(tensors: Iterable[Any]) -> Generator[None, None, None]:
    """Keep the hooks of these tensors from being called: their gradients are not complete yet."""
    hooked = [(t, t._backward_hooks) for t in tensors if t._backward_hooks]  # noqa: SLF001
    for tensor, _ in hooked:
        tensor._backward_hooks = None  # noqa: SLF001
    try:
        yield
    finally:
        for tensor, hooks in hooked:
            tensor._backward_hooks = hooks  # noqa: SLF001


def _unpack(tensor: Any) -> Any:
    return tensor
