"""Implicit integrators on PETSc, and PETSc's own `TS`."""
