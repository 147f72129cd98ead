"""Time integrators with discrete adjoints, on PETSc's solvers."""
