"""Why the file of one problem cannot serve another, in words."""

from dataclasses import replace

from adjoint.printable import printable
from adjoint.storage.file_format import Structure
from adjoint.storage.state_layout import StateLayout
from adjoint.units import format_count

__all__ = ["difference"]


def difference(wanted: Structure, found: Structure) -> str | None:
    """Return why a file of the structure `found` cannot serve as `wanted`; None if it can.

    It may have more rows, or fewer, and room for tapes or not.
    """
    if found.ranks != wanted.ranks:
        return f"was made on {format_count(found.ranks, 'rank')}, not on {wanted.ranks}"
    if found.problem != wanted.problem:
        return (
            f"belongs to another problem ({printable(found.problem)}, "
            f"not {printable(wanted.problem)})"
        )
    needed, there = _arrays(wanted), _arrays(found)
    for name in dict.fromkeys([*needed, *there]):
        if needed.get(name) != there.get(name):
            has, needs = there.get(name, "missing"), needed.get(name, "missing")
            return f"is for other arrays ({name} is {has} in it, {needs} in this run)"
    if replace(found, rows=wanted.rows, pieces=wanted.pieces) != wanted:
        return "has its arrays in another order, or room for another number of accepted steps"
    return None


def _arrays(structure: Structure) -> dict[str, str]:
    """Return what every array of every rank is, by name."""
    words: dict[str, str] = {}
    for rank, layout in enumerate(structure.layouts):
        of_rank = _in_words("state", layout)
        for journal in structure.journals[rank : rank + 1]:
            of_rank |= _in_words("adjoint", journal.adjoint)
            of_rank |= _in_words("control", journal.gradients)
            for rows in journal.rows:
                of_rank[f"control {rows.name!r}"] = f"{rows.rows} rows of {rows.row_bytes} bytes"
        where = f" of rank {rank}" if structure.ranks > 1 else ""
        words |= {name + where: array for name, array in of_rank.items()}
    return words


def _in_words(what: str, layout: StateLayout) -> dict[str, str]:
    return {
        f"{what} {field.name!r}": f"{field.dtype.name} of shape {field.shape}"
        for field in layout.fields
    }
