"""Tapes in the file: each leaf is recorded once, and pulled back from what was written."""
