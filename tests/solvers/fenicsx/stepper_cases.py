"""Steps in UFL, for the stepper contract."""

# ruff: noqa: PLC0415 (DOLFINx may be absent)

from basins import NUM_STEPS
from stepper_case import Case


def form(name: str, **options) -> Case:
    """Return a UFL residual of `form_problems`, by the name of its function."""

    def make():
        import form_problems

        return getattr(form_problems, name)(**options)

    return Case(make, needs=("dolfinx",))


STEPPERS = {
    "UFL, affine": form("rows", num_steps=NUM_STEPS),
    "UFL, affine, two levels": form("two_levels"),
    "UFL, linear": form("semi_implicit"),
    "UFL, nonlinear": form("p_laplacian"),
}
