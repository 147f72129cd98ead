"""A stepper of the user's own PETSc `TS`."""
