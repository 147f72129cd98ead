"""A PETSc ``TS`` configured by the user, as a stepper."""
