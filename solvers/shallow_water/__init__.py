"""Tsunamis: nonlinear shallow water with its exact discrete adjoint."""
