"""Making all ranks hold the same numbers, so that all take the same decisions."""

import dataclasses

from adjoint.comm import Communicator
from adjoint.costs import Costs
from adjoint.errors import ArgumentError

__all__ = ["agreed_costs", "largest", "require_same", "smallest"]


def largest(value: float, comm: Communicator) -> float:
    """Return the largest of all ranks' values, on every rank. Collective."""
    return max(comm.gather(value))


def smallest(value: int, comm: Communicator) -> int:
    """Return the smallest of all ranks' values, on every rank. Collective."""
    return min(comm.gather(value))


def agreed_costs(costs: Costs, comm: Communicator) -> Costs:
    """Return each cost of the rank where it is largest: the slowest sets the pace. Collective."""
    fields = [field.name for field in dataclasses.fields(Costs)]
    ranks = comm.gather([getattr(costs, name) for name in fields])
    return Costs(
        **{name: max(values) for name, values in zip(fields, zip(*ranks, strict=True), strict=True)}
    )


def require_same(comm: Communicator, **arguments: object) -> None:
    """Raise on every rank unless all ranks were given arguments that print the same. Collective.

    Raises
    ------
    ArgumentError
        Ranks differ: the message names the argument and the values.
    """
    described = {name: repr(value) for name, value in arguments.items()}
    ranks = comm.gather(described)
    for name, value in ranks[0].items():
        for rank, other in enumerate(ranks):
            if other.get(name) != value:
                raise ArgumentError(
                    f"ranks were called with different arguments: {name}={value} on rank 0, "
                    f"{other.get(name)} on rank {rank}"
                )
