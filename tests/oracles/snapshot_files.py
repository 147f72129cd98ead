"""Snapshot files made by hand, from the description of their format, with h5py and xxhash alone.

Little here is meant to be quick, and nothing is shared with the code that makes or reads them.
"""

import json
import struct

import h5py
import numpy as np
import xxhash
from h5py import h5d, h5p, h5s, h5t

FIELDS = [("step", "<i8"), ("sequence", "<u8"), ("evaluation", "<u8"), ("checksum", "<u8")]
INDEX = np.dtype([*FIELDS, ("cost", "<f8"), ("entry_checksum", "<u8")])
PAGE = 4096


def up(count, multiple):
    return (count + multiple - 1) // multiple * multiple


def fields_of(arrays):
    """Return the description of one rank's state: each array on a cache line of its own."""
    fields, end = [], 0
    for name, array in arrays.items():
        offset = up(end, 64)
        kind = array.dtype
        described = {"name": name, "shape": list(array.shape), "dtype": kind.str, "type": kind.name}
        fields.append({**described, "offset": offset})
        end = offset + array.nbytes
    return fields


def length_of(arrays):
    """Return the bytes up to the end of the last array."""
    fields = fields_of(arrays)
    return max(
        (f["offset"] + arrays[f["name"]].nbytes for f in fields if f["name"] in arrays), default=0
    )


def block_of(arrays):
    """Return the bytes of one rank's state, gaps zero, and how many it takes of a row."""
    block = bytearray(length_of(arrays))
    for field in fields_of(arrays):
        data = arrays[field["name"]].tobytes()
        block[field["offset"] : field["offset"] + len(data)] = data
    whole = up(len(block), PAGE)
    taken = up(len(block), min(1 << 20, whole)) if whole else 0
    return bytes(block), taken


def entries(step, sequence, parts, cost=0.5, evaluation=1):
    """Return the index entries that vouch for a state: a list of the ranks' arrays."""
    checksums = [xxhash.xxh3_64_intdigest(block_of(part)[0]) for part in parts]
    return np.array([entry(step, sequence, evaluation, each, cost) for each in checksums], INDEX)


def entry(*fields):
    """Return an index entry with its own checksum."""
    return (*fields, xxhash.xxh3_64_intdigest(struct.pack("<qQQQd", *fields)))


def dataset(file, name, dtype, shape):
    """Make a contiguous dataset that has its place in the file, and reads as zero."""
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_layout(h5d.CONTIGUOUS)
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    kind, space = h5t.py_create(np.dtype(dtype), logical=True), h5s.create_simple(shape)
    return h5py.Dataset(h5d.create(file.id, name.encode(), kind, space, dcpl=creation))


def make(path, states, *, rows=8, journal=(), layout=None, leave_out=(), evaluation=1):
    """Make a file of states: by step, a list of the ranks' arrays. The first is in row 0.

    `journal` is two records: for each rank, a header's number and note, or None. Its arrays are
    those of the "begun" phase: none. `layout` replaces the description.
    """
    parts = next(iter(states.values()))
    ranks = len(parts)
    described = {
        "problem": "by hand",
        "layouts": [fields_of(part) for part in parts],
        "ranks": list(range(ranks)),
    }
    if journal:
        nothing = {"adjoint": [], "gradients": [], "rows": []}
        described |= {"journals": [nothing], "journal_ranks": [0] * ranks}
    text = json.dumps(described).encode() if layout is None else layout
    with h5py.File(path, "w") as file:
        row_bytes = sum(block_of(part)[1] for part in parts)
        shapes = {
            "snapshots": (np.uint8, (rows, row_bytes)),
            "index": (INDEX, (rows, ranks)),
            "layout": (np.uint8, (len(text),)),
        }
        if journal:
            sizes = [PAGE + up(length_of(part), PAGE) for part in parts]
            shapes["journal"] = np.uint8, (2, sum(sizes))
        for name, (dtype, shape) in shapes.items():
            if name not in leave_out:
                dataset(file, name, dtype, shape)
        file.attrs["format_version"] = 3
        file.attrs["layout_checksum"] = np.uint64(xxhash.xxh3_64_intdigest(text))
        if "layout" not in leave_out:
            file["layout"][...] = np.frombuffer(text, np.uint8)
        if leave_out:
            return
        for row, (step, state) in enumerate(states.items()):
            write_row(file, row, step, row + 1, state, evaluation=evaluation)
        for k, record in enumerate(journal):
            write_record(file, k, record, sizes)


def write_row(file, row, step, sequence, parts, evaluation=1):
    """Write a state to a row, and vouch for it."""
    start = 0
    for part in parts:
        block, taken = block_of(part)
        file["snapshots"][row, start : start + len(block)] = np.frombuffer(block, np.uint8)
        start += taken
    file["index"][row] = entries(step, sequence, parts, evaluation=evaluation)


def write_record(file, k, record, sizes):
    """Write the headers of all ranks to a record of the journal."""
    start = 0
    for header, size in zip(record, sizes, strict=True):
        if header is not None:
            data = np.frombuffer(header_of(*header), np.uint8)
            file["journal"][k, start : start + data.size] = data
        start += size


def header_of(number, note, arrays=b""):
    """Return the header of a record."""
    text = json.dumps(note).encode()
    return sealed(struct.pack("<QQQ", number, xxhash.xxh3_64_intdigest(arrays), len(text)) + text)


def sealed(header):
    """Return a header that begins with the checksum of the rest."""
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(header)) + header


def note(phase="begun", step=0, evaluation=1, **more):
    """Return what a record may say of itself."""
    return {
        "phase": phase,
        "step": step,
        "num_steps": 100,
        "cost": 1.5,
        "evaluation": evaluation,
        "data": {"the controls": "c0ffee"},
        "seconds": 2.0,
        **more,
    }
