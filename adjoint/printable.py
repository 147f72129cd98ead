"""Text from files as it may be printed: nothing in it controls the terminal."""

__all__ = ["printable"]

MAX_SHOWN = 200
"""Characters that are shown of longer text."""


def printable(text: object, longest: int = MAX_SHOWN) -> str:
    r"""Return text in which control characters are escaped, cut short if it is very long.

    What is printable stays, whatever its script; the beginning of a terminal's escape sequence is
    shown as ``\x1b``, a line feed as ``\n``, a mark that reverses the direction of writing as
    ``\u202e``.
    """
    whole = str(text)
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in whole[:longest])
    return shown if len(whole) <= longest else f"{shown}…"
