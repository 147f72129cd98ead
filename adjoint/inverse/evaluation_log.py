"""A log of the evaluations of a search, by which a killed search goes on.

The file begins with a line that names the format and a line of JSON that tells what is sought, with
a digest of it. Then come records: the length of the body as 8 bytes, little-endian, a digest of the
body of 16 bytes, and the body: kind (1 byte), whether the values are finite (1 byte), a key of 16
bytes, and the values as raw float64. A record counts once ``fdatasync`` has returned. Bytes behind
the last whole record were torn off by a kill, and are cut.

A restarted search makes the same evaluations in the same order. Those in the log are answered from
it; their keys, digests of where they were made, prove that it is the same search. That the cost
still is the same one is proved by computing one of them again (`Misfit.prove`).
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.closing import Closing
from adjoint.errors import ArgumentError

__all__ = ["EvaluationLog", "Record", "key_of"]

MAGIC = b"adjoint evaluation log 1\n"
DIGEST_BYTES = 16
"""Two of 10^9 records have the same digest with a probability of 10^-21."""
LENGTH_BYTES = 8
HEAD_BYTES = LENGTH_BYTES + DIGEST_BYTES
KINDS = {"gradient": 1, "Hessian": 2, "Gauss-Newton": 3}


@dataclass(frozen=True, slots=True)
class Record:
    """One evaluation."""

    kind: str
    key: bytes
    values: NDArray[np.float64] | None
    """None if they were not finite."""

    def body(self) -> bytes:
        """Return the record's body."""
        finite = self.values is not None
        values = b"" if self.values is None else self.values.astype("<f8").tobytes()
        return bytes([KINDS[self.kind], finite]) + self.key + values

    @classmethod
    def of(cls, body: bytes) -> "Record":
        """Return the record of a body."""
        kind = next(name for name, number in KINDS.items() if number == body[0])
        values = np.frombuffer(body[2 + DIGEST_BYTES :], "<f8").astype(np.float64)
        return cls(kind, body[2 : 2 + DIGEST_BYTES], values if body[1] else None)


def key_of(*arrays: NDArray[Any]) -> bytes:
    """Return the digest of where an evaluation is made."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<f8").data)
    return digest.digest()


class EvaluationLog(Closing):
    """Answers evaluations from a file, and adds new ones to it. Used by rank 0 alone.

    Parameters
    ----------
    path
        The file; it is made if it does not exist. Only one process at a time may have it open.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: int | None = None
        self._records: list[Record] = []
        self._next = 0

    def open(self, header: Mapping[str, Any]) -> None:
        """Open the file, and read what is in it.

        Raises
        ------
        ArgumentError
            It is no evaluation log, belongs to another search, or is open elsewhere.
        OSError
            It cannot be opened, read or written.
        """
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArgumentError(
                    f"{self.path} is in use by another search: give each search its own log"
                ) from None
            self._records = self._read(file, _header_line(header), header)
        except BaseException:
            os.close(file)
            raise
        self._file, self._next = file, 0

    @property
    def num_records(self) -> int:
        """Number of evaluations in the file."""
        return len(self._records)

    def answer(self, kind: str, key: bytes) -> Record | None:
        """Return the next record; None behind the last.

        Raises
        ------
        ArgumentError
            The record is of another evaluation than this one.
        """
        if self._next == len(self._records):
            return None
        record = self._records[self._next]
        self._next += 1
        if (record.kind, record.key) != (kind, key):
            raise ArgumentError(
                f"evaluation {self._next} of this search is not the one in {self.path}, which "
                "belongs to another search, or to this one with other options, priors or versions "
                "of libraries: remove the log to begin afresh"
            )
        return record

    def add(self, record: Record) -> None:
        """Append a record to the file, and return once it is on the disk.

        Raises
        ------
        OSError
            It cannot be written. What was written of it is cut off.
        """
        assert self._file is not None
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            _write(self._file, _framed(record.body()))
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, end)
            raise
        self._records.append(record)
        self._next = len(self._records)

    def close(self) -> None:
        """Close the file. Closing again does nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self, file: int, line: bytes, header: Mapping[str, Any]) -> list[Record]:
        """Return the records of an open file; write the header of a new one."""
        with open(os.dup(file), "rb") as stream:
            content = stream.read()
        begun = MAGIC + line
        if content.startswith(begun):
            records, end = _whole_records(content, len(begun))
            if end < len(content):
                os.ftruncate(file, end)
                os.fdatasync(file)
            return records
        if begun.startswith(content):  # new, or killed while it was made
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            _write(file, begun)
            os.fsync(file)
            _sync_folder(self.path.parent)
            return []
        raise ArgumentError(f"{self.path} {_difference(content, header)}")


def _header_line(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True).encode() + b"\n"


def _framed(body: bytes) -> bytes:
    length = len(body).to_bytes(LENGTH_BYTES, "little")
    return length + blake2b(length + body, digest_size=DIGEST_BYTES).digest() + body


def _whole_records(content: bytes, start: int) -> tuple[list[Record], int]:
    """Return the records from `start` on, and where the last whole one ends."""
    records: list[Record] = []
    while start + HEAD_BYTES <= len(content):
        length = int.from_bytes(content[start : start + LENGTH_BYTES], "little")
        end = start + HEAD_BYTES + length
        body = content[start + HEAD_BYTES : end]
        if end > len(content) or _framed(body) != content[start:end]:
            break
        records.append(Record.of(body))
        start = end
    return records, start


def _difference(content: bytes, header: Mapping[str, Any]) -> str:
    """Return why a file's header is not the one that is expected."""
    if not content.startswith(MAGIC):
        return "is not an evaluation log: give the log a path of its own"
    try:
        found = json.loads(content[len(MAGIC) :].split(b"\n", 1)[0])
        differing = sorted(
            name for name in {*header, *found} if header.get(name) != found.get(name)
        )
    except (ValueError, TypeError):
        return "has a damaged header: remove it to begin afresh"
    name = differing[0] if differing else "header"
    return (
        f"belongs to another search: its {name} is {found.get(name)}, here it is "
        f"{header.get(name)}; remove it to begin afresh"
    )


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
