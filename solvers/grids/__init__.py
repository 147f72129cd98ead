"""Structured grids on ranks, and their halos."""
