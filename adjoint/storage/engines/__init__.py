"""Engines: how states are moved to the snapshot file and back."""
