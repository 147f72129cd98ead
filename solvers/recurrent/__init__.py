"""Recurrent networks in NumPy."""
