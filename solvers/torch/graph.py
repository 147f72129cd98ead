"""Inspection of autograd's graphs: the tensors at which one begins, and the memory it holds."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import torch

__all__ = ["Graph", "SavedBytes", "graph_before", "without_hooks"]

NODE_BYTES = 1024
"""Memory of a node of a graph, with its edges, tensor metadata and allocator overhead.

Measured with LSTM cells of so few units that little else takes memory: 974 and 1076 bytes."""

NO_DERIVATIVE = frozenset({"Error", "NotImplemented"})
"""Names of the nodes of operators without a derivative, one of which says so when it is run."""


class SavedBytes:
    """A context that counts the bytes that graphs built in it save for their backward pass.

    Each storage is counted once, even if several tensors share it.

    Parameters
    ----------
    others
        Tensors that are not counted, because they exist anyway: parameters, data.
    """

    def __init__(self, others: Iterable[Any]) -> None:
        self._bytes: dict[int, int] = {}
        """Size of each storage, by its address."""
        self._others = {tensor.untyped_storage().data_ptr() for tensor in others}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack)

    @property
    def total(self) -> int:
        """Bytes counted so far."""
        return sum(self._bytes.values())

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)

    def _pack(self, tensor: Any) -> Any:
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._others:
                self._bytes[storage.data_ptr()] = storage.nbytes()
        # Detached, because a node that saves its own output would keep itself alive.
        return tensor.detach()


class Graph(NamedTuple):
    """The graph that ends in some roots."""

    leaves: list[Any]
    """The tensors at which it begins, once each: those whose ``.grad`` a backward pass adds to.
    Their order depends only on the graph."""
    node_bytes: int
    """Memory of its nodes, without the tensors that they save."""
    undifferentiable: bool
    """Whether a node stands for an operator without a derivative: autograd takes it for a constant
    if it is told which tensors to differentiate by."""


def graph_before(roots: Iterable[Any]) -> Graph:
    """Traverse the graph that ends in the roots."""
    tensors = list(roots)
    leaves = {id(root): root for root in tensors if root.is_leaf and root.requires_grad}
    nodes = list(dict.fromkeys(root.grad_fn for root in tensors if root.grad_fn is not None))
    visited = {None, *nodes}
    for node in nodes:  # which grows meanwhile
        edges = node.next_functions
        for following, _ in edges:
            if following not in visited:
                visited.add(following)
                nodes.append(following)
        if not edges and hasattr(node, "variable"):
            leaves.setdefault(id(node.variable), node.variable)
    refused = any(node.name().rpartition("::")[2] in NO_DERIVATIVE for node in nodes)
    return Graph(list(leaves.values()), NODE_BYTES * len(nodes), refused)


@contextmanager
def without_hooks(tensors: Iterable[Any]) -> Generator[None, None, None]:
    """Disable the hooks of these tensors, whose gradients are still incomplete."""
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
