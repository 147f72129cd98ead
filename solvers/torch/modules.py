"""The modules of a PyTorch model and their parameters, found anew for every evaluation.

Between two evaluations a parameter may be replaced (``load_state_dict(assign=True)``, an
assignment, pruning), a submodule exchanged or added, a parameter frozen or unfrozen. What counts is
what the modules hold when the evaluation begins.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from adjoint.errors import ArgumentError

__all__ = ["Modules"]


@dataclass(frozen=True, slots=True, eq=False)
class Modules:
    """What a model consists of at one moment."""

    modules: Mapping[str, Any]
    """All modules that run, by name, each once."""
    parameters: Mapping[str, Any]
    """Parameters that require a gradient, by name, each once."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Find the modules below those given.

        Parameters
        ----------
        given
            Modules or tuples of them, by the name of the argument that they were passed in. What is
            no module is ignored.

        Raises
        ------
        ArgumentError
            A parameter is not on the CPU.
        """
        modules = dict(_modules(given))
        return cls(modules, dict(_parameters(modules)))

    def same_as(self, other: "Modules") -> bool:
        """Return whether both hold the same objects, with buffers of the same names."""
        return _identity(self) == _identity(other)


def _identity(found: Modules) -> list[Any]:
    buffers = [list(module._buffers) for module in found.modules.values()]  # noqa: SLF001
    named = [*found.modules.items(), *found.parameters.items()]
    return [*((name, id(each)) for name, each in named), buffers]


def _modules(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for argument, value in given.items():
        several: dict[str, Any] = {argument: value}
        if isinstance(value, tuple | list):
            several = {f"{argument}.{index}": top for index, top in enumerate(value)}
        for prefix, top in several.items():
            if not isinstance(top, torch.nn.Module):
                continue
            for name, module in top.named_modules(prefix=prefix):
                if id(module) not in seen:
                    seen.add(id(module))
                    yield name, module


def _parameters(modules: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for prefix, module in modules.items():
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            if parameter.device.type != "cpu":
                raise ArgumentError(
                    f"{name} is on {parameter.device}: only the CPU is supported; .cpu() moves it"
                )
            yield name, parameter
