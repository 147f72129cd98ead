"""A journal record that no run would have written is ignored; the other one counts."""

import struct

import h5py
import numpy as np
import pytest
import snapshot_files
import xxhash
from snapshot_files import note

from adjoint import open_snapshots

STATE = [{"u": np.arange(600.0)}]
SOUND = note("forward", 12)


def raw(text, length=None):
    """Return a header with any text."""
    length = len(text) if length is None else length
    arrays = xxhash.xxh3_64_intdigest(b"")
    return snapshot_files.sealed(struct.pack("<QQQ", 3, arrays, length) + text)


HOSTILE = {
    "no JSON": raw(b"{]"),
    "no UTF-8": raw(b'{"phase": "\xff"}'),
    "deep": raw(b"[" * 4000),
    "not an object": raw(b"[1, 2]"),
    "longer than its page": raw(b"{}", 1 << 62),
    "unknown keys": raw(b'{"evil": 1}'),
    "an unknown phase": snapshot_files.header_of(3, note("sideways")),
    "a step that is none": snapshot_files.header_of(3, note(step=1.5)),
    "a negative step": snapshot_files.header_of(3, note(step=-1)),
    "a huge step": snapshot_files.header_of(3, note(step=1 << 70)),
    "a cost that is text": snapshot_files.header_of(3, note(cost="0")),
    "a sequence that is true": snapshot_files.header_of(3, note(evaluation=True)),
    "data that are a list": snapshot_files.header_of(3, note(data=[])),
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE)
def test_the_other_record_counts(header, tmp_path):
    path = tmp_path / "run.h5"
    snapshot_files.make(path, {0: STATE, 5: STATE}, journal=[[(2, SOUND)], [None]])
    with h5py.File(path, "r+") as file:
        file["journal"][1, : len(header)] = np.frombuffer(header, np.uint8)
    with open_snapshots(path) as snapshots:
        assert snapshots.steps == [0, 5]
        (record,) = snapshots.journal()
        assert (record.number, record.header.phase, record.header.step) == (2, "forward", 12)


def test_arrays_are_compared_with_their_checksum(tmp_path):
    path = tmp_path / "run.h5"
    snapshot_files.make(path, {0: STATE}, journal=[[(2, SOUND)], [(1, note())]])
    data = STATE[0]["u"].view(np.uint8)
    header = np.frombuffer(snapshot_files.header_of(2, SOUND, data.tobytes()), np.uint8)
    with h5py.File(path, "r+") as file:
        file["journal"][0, 4096 : 4096 + data.size] = data
        file["journal"][0, : header.size] = header
    with open_snapshots(path) as snapshots:
        assert [record.is_whole for record in snapshots.journal()] == [None, None]
        assert [record.is_whole for record in snapshots.journal(verify=True)] == [True, True]
    with h5py.File(path, "r+") as file:
        file["journal"][0, 4100] ^= 1
    with open_snapshots(path) as snapshots:
        assert [record.is_whole for record in snapshots.journal(verify=True)] == [False, True]


@pytest.mark.parametrize("position", [1, 9, 17, 25, 60])
def test_a_header_that_was_changed_is_ignored(position, tmp_path):
    path = tmp_path / "run.h5"
    snapshot_files.make(path, {0: STATE}, journal=[[(2, SOUND)], [(1, note())]])
    with h5py.File(path, "r+") as file:
        file["journal"][0, position] ^= 4
    with open_snapshots(path) as snapshots:
        assert [record.number for record in snapshots.journal()] == [1]
        assert snapshots.contents().damaged_headers == 1


def test_parts_of_two_records_of_one_number_are_no_record(tmp_path):
    # Two runs may both have begun to write a record of this number, on different ranks.
    path = tmp_path / "run.h5"
    parts = [(3, note("forward", 9)), (3, note("forward", 12))]
    snapshot_files.make(path, {0: STATE * 2}, journal=[[(2, SOUND)] * 2, parts])
    with open_snapshots(path) as snapshots:
        assert [record.number for record in snapshots.journal()] == [2]
