"""A file that is not a snapshot file, or is damaged, is refused at once and in little memory.

Each case is a file that is wrong in one way. All are refused by `open_snapshots` and by
``adjoint inspect``, also in a process with little memory left.
"""

import json
import os
import resource
import struct
import subprocess
import sys
import time
import tracemalloc
from functools import partial

import h5py
import numpy as np
import pytest
import snapshot_files
import xxhash
from snapshot_files import INDEX, dataset, entry

from adjoint import SnapshotFileError, cli, open_snapshots

STATE = {"u": np.arange(600.0), "v": np.arange(5, dtype=np.int32)}
HUGE = 1 << 60
PAGE = snapshot_files.PAGE


def made(path, **changed):
    snapshot_files.make(path, {0: [STATE], 5: [STATE]}, **changed)
    return path


def described(path, **changed):
    """Make a file whose description has been changed: of the whole, or of its field "u"."""
    fields = snapshot_files.fields_of(STATE)
    document = {"problem": "by hand", "layouts": [fields], "ranks": [0]}
    document |= {name: value for name, value in changed.items() if name in document}
    fields[0] |= {name: value for name, value in changed.items() if name not in document}
    return made(path, layout=json.dumps(document).encode())


def replaced(path, name, kind=np.uint8, shape=(8, 2 * PAGE), **options):
    """Make a file in which a dataset has been replaced by another; return it, open."""
    made(path, leave_out=[name])
    file = h5py.File(path, "r+")
    if options:
        file.create_dataset(name, shape, kind, **options)
    else:
        dataset(file, name, kind, shape)
    return file


CASES = {}


def case(complaint):
    """Register a function that makes a wrong file, and the complaint about it."""

    def register(function):
        CASES[function.__name__] = (function, complaint)
        return function

    return register


# -- not HDF5 at all ------------------------------------------------------------------------------


@case("not an HDF5 file")
def empty(path):
    path.touch()


@case("not an HDF5 file")
def text(path):
    path.write_text("results of three months\n")


@case("cannot be opened as HDF5")
def signature_alone(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(5000))


@case("cannot be opened as HDF5")
def cut_short(path):
    os.truncate(made(path), 3000)


@case("symbolic link")
def link(path):
    path.symlink_to(made(path.with_name("target.h5")))


@case("symbolic link")
def link_to_nowhere(path):
    path.symlink_to(path.with_name("nowhere.h5"))


@case("not a regular file")
def pipe(path):
    os.mkfifo(path)


@case("not a regular file")
def folder(path):
    path.mkdir()


@case("cannot be opened")
def nothing(path):
    pass


# -- HDF5, but not ours ---------------------------------------------------------------------------


@case("not a snapshot file")
def another_hdf5_file(path):
    with h5py.File(path, "w") as file:
        file["snapshots"] = np.arange(9)


@case("format version 99: this version of adjoint reads 3")
def later_version(path):
    with h5py.File(made(path), "r+") as file:
        file.attrs["format_version"] = 99


@case("'format_version' is of another type")
def version_that_is_long(path):
    with h5py.File(made(path), "r+") as file:
        file.attrs["format_version"] = np.zeros(1 << 12, np.int64)


@case("format version 2: this version of adjoint reads 3")
def earlier_version(path):
    with h5py.File(made(path), "r+") as file:
        file.attrs["format_version"] = 2


@case("'layout_checksum' is of another type")
def checksum_of_any_length(path):
    with h5py.File(made(path), "r+") as file:
        file.attrs["layout_checksum"] = "x" * 10**6


@case("the description of its states has another checksum")
def description_with_a_changed_letter(path):
    with h5py.File(made(path), "r+") as file:
        text = file["layout"][...].tobytes()
        file["layout"][text.index(b'"u"') + 1] = ord("w")


# -- datasets -------------------------------------------------------------------------------------


@case("is damaged")
def more_rows_than_the_file(path):
    data, rows = made(path).read_bytes(), struct.pack("<QQ", 8, 2 * PAGE)
    assert rows in data
    path.write_bytes(data.replace(rows, struct.pack("<QQ", HUGE, 2 * PAGE)))


@case("'snapshots' that is not one contiguous piece")
def rows_that_were_never_allocated(path):
    made(path, leave_out=["snapshots"])
    with h5py.File(path, "r+") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple((1 << 50, 8))
        h5py.h5d.create(file.id, b"snapshots", h5py.h5t.STD_U8LE, space, dcpl=creation).close()


@case("'snapshots' that is not one contiguous piece")
def chunks(path):
    replaced(path, "snapshots", chunks=(1, PAGE)).close()


@case("'snapshots' that is not one contiguous piece")
def compressed(path):
    replaced(path, "snapshots", compression="gzip").close()


@case("'layout' that is not one contiguous piece")
def compact(path):
    made(path, leave_out=["layout"])
    with h5py.File(path, "r+") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((100,))
        h5py.h5d.create(file.id, b"layout", h5py.h5t.STD_U8LE, space, dcpl=creation).close()


@case("'snapshots' that is not one contiguous piece")
def external_raw_file(path):
    secret = path.with_name("secret")
    secret.write_bytes(b"s" * 16 * PAGE)
    replaced(path, "snapshots", external=[(str(secret), 0, 16 * PAGE)]).close()


@case("'snapshots' that is not one contiguous piece")
def virtual(path):
    made(path.with_name("other.h5"))
    made(path, leave_out=["snapshots"])
    with h5py.File(path, "r+") as file:
        source = h5py.VirtualSource(path.with_name("other.h5"), "snapshots", (8, 2 * PAGE))
        layout = h5py.VirtualLayout((8, 2 * PAGE), np.uint8)
        layout[...] = source
        file.create_virtual_dataset("snapshots", layout)


@case("a link in place of the dataset")
def external_link(path):
    made(path.with_name("other.h5"))
    made(path, leave_out=["snapshots"])
    with h5py.File(path, "r+") as file:
        file["snapshots"] = h5py.ExternalLink(str(path.with_name("other.h5")), "/snapshots")


@case("a link in place of the dataset")
def soft_link(path):
    made(path, leave_out=["snapshots"])
    with h5py.File(path, "r+") as file:
        file["snapshots"] = h5py.SoftLink("/index")


@case("a link in place of the dataset")
def external_link_to_the_journal(path):
    with h5py.File(made(path), "r+") as file:
        file["journal"] = h5py.ExternalLink("/dev/zero", "/journal")


@case("'snapshots' is not a dataset")
def group(path):
    made(path, leave_out=["snapshots"])
    with h5py.File(path, "r+") as file:
        file.create_group("snapshots")


@case("no dataset 'index'")
def without_an_index(path):
    made(path, leave_out=["index"])


@case("'snapshots' is of type float64")
def wide_numbers(path):
    replaced(path, "snapshots", kind=np.float64).close()


@case("'index' is of type")
def index_of_other_fields(path):
    kind = np.dtype([("step", "<i8"), ("sequence", "<u8"), ("checksum", "<u8")])
    replaced(path, "index", kind, (8, 1)).close()


@case("'index' is of type")
def index_of_objects(path):
    replaced(path, "index", h5py.string_dtype(), (8, 1), data=[["text"]] * 8).close()


@case("'snapshots' is of type uint8 and shape .4096,., not")
def flat(path):
    replaced(path, "snapshots", shape=(PAGE,)).close()


@case("'index' is of type .* and shape .5, 1., not")
def short_index(path):
    made(path, leave_out=["index"])
    with h5py.File(path, "r+") as file:
        dataset(file, "index", INDEX, (5, 1))


@case("'layout' that is not one contiguous piece")
def layout_beyond_the_file(path):
    made(path, leave_out=["layout"])
    with h5py.File(path, "r+") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        space = h5py.h5s.create_simple((1 << 50,))
        h5py.h5d.create(file.id, b"layout", h5py.h5t.STD_U8LE, space, dcpl=creation).close()


@case("at most 67108864 are read")
def layout_that_is_huge(path):
    made(path, leave_out=["layout"])
    with h5py.File(path, "r+") as file:
        dataset(file, "layout", np.uint8, (1 << 40,))


@case("overlap")
def overlap(path):
    made(path)
    with h5py.File(path, "r") as file:
        layout, index = file["layout"].id.get_offset(), file["index"].id.get_offset()
    data = path.read_bytes()
    assert data.count(layout.to_bytes(8, "little")) == 1
    path.write_bytes(data.replace(layout.to_bytes(8, "little"), index.to_bytes(8, "little")))


# -- the description ------------------------------------------------------------------------------


@case("'snapshots' is of type uint8 and shape .8, 8192., not .* .8, 24576.")
def more_ranks_than_columns(path):
    described(path, ranks=[0, 0, 0])


WRONG = "description of its states is wrong"


@case("'snapshots' is of type uint8 and shape .8, 8192., not")
def states_that_are_shorter_than_a_row(path):
    described(path, layouts=[[]])


TEXTS = {
    "not unicode": b'{"layouts": "\xff\xfe"}',
    "nested too deeply": b"[" * 10**6,
    "not JSON": b"cos\nsystem\n(S'echo'\ntR.",
    "a number": b"9" * 4000,
    "a very long number": b"9" * 10**6,
}

DESCRIPTIONS = {
    "rank without a layout": {"ranks": [1]},
    "negative rank": {"ranks": [-1]},
    "rank that is no number": {"ranks": [False]},
    "fields that overlap": {"offset": 4000},
    "negative offset": {"offset": -64},
    "offset that is no number": {"offset": True},
    "shape that overflows": {"shape": [1 << 40, 1 << 40]},
    "empty shape that overflows": {"shape": [0, 1 << 62, 1 << 62]},
    "very many dimensions": {"shape": [1] * 1000},
    "shape that is no list": {"shape": 600},
    "shape of fractions": {"shape": [600.0]},
    "field longer than the row": {"shape": [1 << 50]},
    "fields of one name": {"name": "v"},
    "name that is a list": {"name": ["u"]},
    "name that is a number": {"name": 7},
    "dtype without a name": {"dtype": "|V8", "type": 7},
}

DTYPES = (
    *(
        "O",
        "|O",
        "|O8",
        "i4,f8",
        "(1000000000,)f8",
        "<f3",
        "<U999999999999",
        "<f8\n",
        "",
        "<V",
        "l",
    ),
    *("{'names': ['a'], 'formats': ['O']}", 7, None, ["<f8"], "<M8[parsecs]", "__import__('os')"),
)

for title, content in TEXTS.items():
    CASES[title] = partial(made, layout=content), WRONG
for title, changes in DESCRIPTIONS.items():
    CASES[title] = partial(described, **changes), WRONG
for code in DTYPES:
    CASES[f"dtype {str(code)[:12]!r}"] = partial(described, dtype=code), WRONG


# -- all of them ----------------------------------------------------------------------------------

FEW_BYTES = 8 << 20


@pytest.mark.parametrize("name", CASES)
def test_refused_at_once(name, tmp_path, capsys):
    path = tmp_path / "run.h5"
    make, complaint = CASES[name]
    make(path)
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(SnapshotFileError, match=complaint) as raised:
        open_snapshots(path)
    taken, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert peak < FEW_BYTES + 2 * (path.stat().st_blocks * 512 if path.is_file() else 0)
    assert taken < 10  # a bound for hangs, not a timing
    assert cli.main(["inspect", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


IN_LITTLE_MEMORY = """
import re, resource, sys
from adjoint import SnapshotFileError, open_snapshots
from adjoint.storage import reader  # h5py takes memory, too
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (192 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    try:
        open_snapshots(path)
    except SnapshotFileError:
        continue
    raise SystemExit(path + " was not refused")
"""


def test_refused_in_a_process_with_little_memory(tmp_path):
    paths = []
    for number, (make, _) in enumerate(CASES.values()):
        folder_of_case = tmp_path / str(number)
        folder_of_case.mkdir()
        make(folder_of_case / "run.h5")
        paths.append(str(folder_of_case / "run.h5"))
    command = [sys.executable, "-c", IN_LITTLE_MEMORY, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_reading_a_state_larger_than_memory_is_an_error(tmp_path):
    path = tmp_path / "run.h5"
    large = 1 << 40
    fields = [{"name": "u", "shape": [large], "dtype": "|u1", "type": "uint8", "offset": 0}]
    document = {"problem": "by hand", "layouts": [fields], "ranks": [0]}
    text = json.dumps(document).encode()
    made(path, leave_out=["snapshots", "layout"])
    with h5py.File(path, "r+") as file:
        dataset(file, "layout", np.uint8, (len(text),))[...] = np.frombuffer(text, np.uint8)
        dataset(file, "snapshots", np.uint8, (8, large))
        file.attrs["layout_checksum"] = np.uint64(xxhash.xxh3_64_intdigest(text))
        file["index"][3] = np.array([entry(12, 1, 1, 1, 0.0)], INDEX)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open_snapshots(path) as snapshots:
        assert snapshots.steps == [12]
        resource.setrlimit(resource.RLIMIT_AS, (1 << 39, hard))
        try:
            with pytest.raises(OSError, match="state 12, row 3"):
                snapshots[12]
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_the_file_from_which_the_cases_are_made_is_accepted(tmp_path):
    with open_snapshots(made(tmp_path / "run.h5")) as snapshots:
        assert snapshots.steps == [0, 5]
    with open_snapshots(described(tmp_path / "again.h5")) as snapshots:
        np.testing.assert_array_equal(snapshots[5]["u"], STATE["u"])
