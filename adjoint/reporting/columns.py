"""Tables as text: cells padded to the width of their column."""

from collections.abc import Collection, Iterable, Sequence

__all__ = ["aligned"]


def aligned(rows: Iterable[Sequence[str]], *, left: Collection[int]) -> list[str]:
    """Return the rows as lines, columns two spaces apart; those in `left` are aligned left."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
