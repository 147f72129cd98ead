"""Problems from the literature, ready for an integrator: heat, Gray-Scott, Burgers."""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.petsc.problems.burgers import Burgers
    from solvers.petsc.problems.gray_scott import GrayScott
    from solvers.petsc.problems.heat import Heat

__all__ = ["Burgers", "GrayScott", "Heat"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"Burgers": "burgers", "GrayScott": "gray_scott", "Heat": "heat"}
)
