"""What ``/layout`` says of the arrays in a snapshot file, read as if a stranger had written it.

JSON: ``layouts`` is each different layout once, a list of fields; ``ranks`` says which of them each
rank has. Where there is a journal, ``journals`` and ``journal_ranks`` do the same for it. Further
keys are left to whoever added them.
"""

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from adjoint.errors import SnapshotFileError
from adjoint.storage.journal_layout import JournalLayout, RowField
from adjoint.storage.state_layout import Field, StateLayout
from adjoint.storage.validate import Found

__all__ = ["Description"]

DTYPE = re.compile(r"[<>|][biufcmMSUV][0-9]{1,9}(\[[0-9]{0,9}[A-Za-z]{1,7}\])?", re.ASCII)
"""How NumPy writes the dtype of plain numbers: no objects, no fields, no arrays of arrays."""

MOST_DIMENSIONS = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Description:
    """The layouts of all ranks, found to fit the file that they are in."""

    layouts: tuple[StateLayout, ...]
    """Of each rank's state, in rank order."""
    journals: tuple[JournalLayout, ...]
    """Of each rank; none where there is no journal."""

    @classmethod
    def of(cls, found: Found) -> "Description":
        """Return what a file says of its states.

        Raises
        ------
        SnapshotFileError
            It is not what a snapshot file says, or does not fit the file's own datasets.
        """
        try:
            document = json.loads(found.described.decode("utf-8"))
            return _read(document, found)
        except (_WrongError, ValueError, RecursionError) as error:
            what = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise SnapshotFileError(
                f"{found.path} is damaged: the description of its states is wrong: {what}"
            ) from None


class _WrongError(Exception):
    """What is wrong with a description."""


def _read(document: Any, found: Found) -> Description:
    if not isinstance(document, dict):
        raise _WrongError("it is not a JSON object")
    different = [_layout(fields) for fields in _list(document, "layouts")]
    layouts = _by_rank(document, "ranks", different, found)
    row_bytes = sum(layout.block_bytes for layout in layouts)
    if row_bytes != found.row_bytes:
        raise _WrongError(f"states take {row_bytes} bytes, and a row {found.row_bytes}")
    journals: tuple[JournalLayout, ...] = ()
    if "journal" in found.extents:
        kept = [_JournalParts.of(item) for item in _list(document, "journals")]
        parts = _by_rank(document, "journal_ranks", kept, found)
        journals = tuple(
            JournalLayout(layout, part.adjoint, part.gradients, part.rows)
            for layout, part in zip(layouts, parts, strict=True)
        )
        _require_room(journals, found)
    return Description(layouts, journals)


def _require_room(journals: Sequence[JournalLayout], found: Found) -> None:
    record_bytes = sum(journal.record_bytes for journal in journals)
    if record_bytes != found.extents["journal"].shape[1]:
        raise _WrongError(
            f"the journal's records take {record_bytes} bytes, and have "
            f"{found.extents['journal'].shape[1]}"
        )
    rows_bytes = sum(journal.rows_bytes for journal in journals)
    there = found.extents["gradients"].nbytes if "gradients" in found.extents else 0
    if rows_bytes != there:
        raise _WrongError(f"gradients by step take {rows_bytes} bytes, and have {there}")


@dataclass(frozen=True, slots=True)
class _JournalParts:
    """A `JournalLayout` without the state, which is described elsewhere."""

    adjoint: StateLayout
    gradients: StateLayout
    rows: tuple[RowField, ...]

    @classmethod
    def of(cls, item: Any) -> "_JournalParts":
        if not isinstance(item, dict):
            raise _WrongError("a journal is not a JSON object")
        rows: list[RowField] = []
        end = 0
        for row in _list(item, "rows"):
            if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str):
                raise _WrongError("a gradient by step is not a name and two numbers")
            field = RowField(row[0], _count(row[1]), _count(row[2]), end)
            rows.append(field)
            end += field.nbytes
        adjoint, gradients = (_layout(_list(item, name)) for name in ("adjoint", "gradients"))
        return cls(adjoint, gradients, tuple(rows))


def _by_rank(
    document: dict[str, Any], name: str, items: Sequence[T], found: Found
) -> tuple[T, ...]:
    """Return the item of each rank: `document[name]` has their numbers."""
    numbers = _list(document, name)
    columns = found.extents["index"].shape[1]
    if not len(numbers) == found.ranks == columns:
        raise _WrongError(
            f"{name!r} is for {len(numbers)} ranks, the index for {columns}, "
            f"and the file was made on {found.ranks}"
        )
    if any(_count(number) >= len(items) for number in numbers):
        raise _WrongError(f"{name!r} has a number beyond the {len(items)} that are described")
    return tuple(items[number] for number in numbers)


def _layout(fields: Any) -> StateLayout:
    if not isinstance(fields, list):
        raise _WrongError("a layout is not a list of fields")
    read = tuple(_field(field) for field in fields)
    if len({field.name for field in read}) < len(read):
        raise _WrongError("two fields have the same name")
    end = 0
    for field in read:
        if field.offset < end:
            raise _WrongError(f"field {field.name!r} overlaps the one before it")
        end = field.offset + field.nbytes
    return StateLayout(read)


def _field(field: Any) -> Field:
    if not isinstance(field, dict):
        raise _WrongError("a field is not a JSON object")
    name, shape = field.get("name"), field.get("shape")
    if not isinstance(name, str):
        raise _WrongError(f"the name of a field is not text, but {_short(name)}")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise _WrongError(f"field {_short(name)} has the shape {_short(shape)}")
    dimensions = tuple(_count(count) for count in shape)
    dtype = _dtype(field.get("dtype"), field.get("type"))
    # An array without elements must not overflow either.
    if dtype.itemsize * math.prod(max(1, count) for count in dimensions) > sys.maxsize:
        raise _WrongError(f"field {_short(name)} has the shape {_short(shape)}")
    return Field(name, dimensions, dtype, _count(field.get("offset")))


def _dtype(code: Any, name: Any) -> np.dtype[Any]:
    """Return a dtype of plain numbers.

    One that NumPy does not have itself, such as bfloat16, is written as bytes without a meaning and
    known by its name, if its library is loaded.
    """
    if not isinstance(code, str) or not DTYPE.fullmatch(code):
        raise _WrongError(f"{_short(code)} is not the dtype of an array of plain numbers")
    try:
        dtype = np.dtype(code)
    except (TypeError, ValueError):
        raise _WrongError(f"{_short(code)} is not a dtype") from None
    if dtype.kind != "V" or not isinstance(name, str) or not name.isidentifier():
        return dtype
    try:
        named = np.dtype(name)
    except (TypeError, ValueError):
        return dtype
    is_plain = not named.hasobject and named.names is None and named.str == code
    return named if is_plain else dtype


def _list(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise _WrongError(f"{name!r} is not a list")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= sys.maxsize:
        raise _WrongError(f"{_short(value)} is not a number of things")
    return value


def _short(value: Any) -> str:
    return repr(value)[:80]
