"""The misfit of an inversion: a functional of whole controls, evaluated by all ranks together.

Rank 0 asks for evaluations, within `Lead.run`; those that the log knows are answered from it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, NonFiniteError
from adjoint.functional import Functional
from adjoint.inverse.ensemble import Ensemble
from adjoint.inverse.evaluation_log import EvaluationLog, Record, key_of
from adjoint.inverse.lead import Lead
from adjoint.inverse.variables import Variable
from adjoint.parallel import Communicator
from adjoint.steppers import Capabilities

__all__ = ["ByControl", "Misfit"]

Array = NDArray[np.float64]
ByControl = dict[str, Array]


class Misfit:
    """The cost of a functional, or of an ensemble, as a function of its unknown controls.

    Parameters
    ----------
    functional
        What is evaluated.
    variables
        The unknowns by control.
    comm
        All ranks; not the functional's own communicator.
    log
        What evaluations are answered from and added to; opened here. Collective.
    """

    def __init__(
        self,
        functional: Functional | Ensemble,
        variables: Mapping[str, Variable],
        comm: Communicator,
        log: EvaluationLog | None,
    ) -> None:
        self.lead = Lead(comm, self._perform)
        """Rank 0's work, which the other ranks serve."""
        self.replayed = False
        """Whether the log had the last evaluation. On rank 0."""
        self._functional = functional
        self._variables = variables
        self._log = log
        self._unproven: tuple[ByControl, Record] | None = None
        """The last gradient that the log has answered, until `prove` has computed it as well."""
        if log is not None:
            header = {
                "unknowns": {name: list(v.shape) for name, v in variables.items()},
                "stepper": functional.fingerprint(),
                "numpy": np.__version__,
                "scipy": scipy.__version__,
            }
            self.lead.run(lambda: log.open(header))

    # -- on rank 0, in `lead.run` ----------------------------------------------------------------

    def value(self, controls: ByControl) -> float:
        """Return the misfit alone. It is not logged."""
        return self.lead.request(("value", controls, {}))[0]

    def slope(self, controls: ByControl) -> tuple[float, ByControl] | None:
        """Return the misfit and its gradient by whole controls; None if they are not finite."""
        values = self._evaluated("gradient", controls, {})
        return None if values is None else (float(values[0]), self._cut(values[1:], ())[0])

    def products(
        self, kind: str, controls: ByControl, directions: ByControl
    ) -> tuple[ByControl, ByControl | None] | None:
        """Return products with directions ``(k, *shape)``, and the gradient where it is known.

        `kind` is ``"Hessian"`` or ``"Gauss-Newton"``; the latter takes no gradient. None if they
        are not finite.
        """
        values = self._evaluated(kind, controls, directions)
        if values is None:
            return None
        gradient = None
        if kind == "Hessian":
            gradient, values = self._cut(values, ())
        count = len(next(iter(directions.values())))
        return self._cut(values, (count,))[0], gradient

    def prove(self) -> None:
        """Compute the last gradient that the log has answered, and compare the bits. Once.

        A fingerprint does not name all that a step may depend on, such as numbers and closures.

        Raises
        ------
        ArgumentError
            They differ: the log is of another problem.
        """
        unproven, self._unproven = self._unproven, None
        if self._log is None or unproven is None:
            return
        if not Capabilities.of(self._functional.stepper).reproducible:
            return
        controls, record = unproven
        values = self._computed(record.kind, controls, {})
        if Record(record.kind, record.key, values).body() != record.body():
            raise ArgumentError(
                f"a gradient in {self._log.path} has other bits than the same one computed now: "
                "the problem has changed in something that its fingerprint does not name, or the "
                "number of ranks, the leaf or a library has; remove the log to begin afresh"
            )

    def _evaluated(self, kind: str, controls: ByControl, directions: ByControl) -> Array | None:
        """Return the numbers of an evaluation; None if they are not finite."""
        key = key_of(*controls.values(), *directions.values())
        known = None if self._log is None else self._log.answer(kind, key)
        self.replayed = known is not None
        if known is not None:
            if kind == "gradient":
                self._unproven = controls, known
            return known.values
        values = self._computed(kind, controls, directions)
        self.prove()  # behind it: the functional may have gone on within this evaluation
        if self._log is not None:
            self._log.add(Record(kind, key, values))
        return values

    def _computed(self, kind: str, controls: ByControl, directions: ByControl) -> Array | None:
        """Let all ranks evaluate; return the numbers, or None if they are not finite."""
        try:
            return np.concatenate([*map(np.ravel, self.lead.request((kind, controls, directions)))])
        except NonFiniteError:
            return None

    def _cut(self, values: Array, leading: tuple[int, ...]) -> tuple[ByControl, Array]:
        """Cut arrays shaped as the controls, with leading axes, from the front of a flat array."""
        found: ByControl = {}
        for name, variable in self._variables.items():
            shape = (*leading, *variable.shape)
            size = int(np.prod(shape, dtype=int))
            found[name], values = values[:size].reshape(shape), values[size:]
        return found, values

    # -- on every rank --------------------------------------------------------------------------

    def _perform(self, message: tuple[str, ByControl, ByControl]) -> Sequence[Any]:
        """Evaluate what rank 0 asks for; return numbers and whole arrays. Collective."""
        kind, controls, directions = message
        parts = {name: v.part(controls[name]) for name, v in self._variables.items()}
        if kind == "value":
            return [self._functional.value(parts)]
        if kind == "gradient":
            misfit, gradient = self._functional.value_and_gradient(parts)
            return [misfit, *self._wholes(gradient)]
        ways = {name: v.parts(directions[name]) for name, v in self._variables.items()}
        found = self._functional.second_order(ways, parts, gauss_newton=kind == "Gauss-Newton")
        slope = [] if found.gradient is None else self._wholes(found.gradient)
        products = [
            np.stack([v.whole(product) for product in found.products[name]])
            for name, v in self._variables.items()
        ]
        return [*slope, *products]

    def _wholes(self, gradient: Mapping[str, NDArray[Any]]) -> list[Array]:
        return [v.whole(gradient[name]) for name, v in self._variables.items()]
