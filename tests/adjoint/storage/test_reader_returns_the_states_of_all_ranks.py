"""Each array of each rank is read back by step, also if ranks have different layouts."""

import numpy as np
import pytest
import snapshot_files

from adjoint import ArgumentError, open_snapshots

NAMES = ("height", "speed", "count")


def state(rng, step):
    """Return the parts of three ranks: one of several pages, one of other shapes, one empty."""
    return [
        {
            "height": rng.random((40, 30)),
            "speed": rng.random(70_000).astype(np.float32),
            "count": np.array(step, np.int64),
        },
        {"height": rng.random((3, 1)), "count": np.array(-step, np.int64)},
        {},
    ]


@pytest.fixture
def states(rng):
    return {step: state(rng, step) for step in (7, 0, 300)}


@pytest.fixture
def path(states, tmp_path):
    snapshot_files.make(tmp_path / "run.h5", states)
    return tmp_path / "run.h5"


def test_every_part(path, states):
    with open_snapshots(path) as snapshots:
        assert snapshots.num_ranks == 3
        assert snapshots.steps == list(snapshots) == [0, 7, 300]
        assert (len(snapshots), 7 in snapshots, 8 in snapshots) == (3, True, False)
        for step, parts in states.items():
            for rank, arrays in enumerate(parts):
                names = [field.name for field in snapshots.layout(rank).fields]
                assert names == list(arrays)
                for name, array in arrays.items():
                    read = snapshots.read(step, name, rank=rank)
                    assert (read.dtype, read.shape) == (array.dtype, array.shape)
                    assert read.tobytes() == array.tobytes()


def test_parts_of_all_ranks(states, tmp_path):
    two = {step: [parts[0], parts[1]] for step, parts in states.items()}
    snapshot_files.make(tmp_path / "two.h5", two)
    with open_snapshots(tmp_path / "two.h5") as snapshots:
        first, second = snapshots.parts(300, "height")
        np.testing.assert_array_equal(first, two[300][0]["height"])
        np.testing.assert_array_equal(second, two[300][1]["height"])


def test_whole_state_of_one_rank(states, tmp_path):
    snapshot_files.make(tmp_path / "one.h5", {step: parts[:1] for step, parts in states.items()})
    with open_snapshots(tmp_path / "one.h5", verify=False) as snapshots:
        read = snapshots[7]
        assert list(read) == list(NAMES)
        for name, array in read.items():
            np.testing.assert_array_equal(array, states[7][0][name])
        read["height"][...] = 0
        np.testing.assert_array_equal(snapshots[7]["height"], states[7][0]["height"])


def test_missing_states_arrays_and_ranks(path):
    with open_snapshots(path) as snapshots:
        with pytest.raises(KeyError, match="no state 8"):
            snapshots.read(8, "height")
        with pytest.raises(ArgumentError, match="'height', 'count'"):
            snapshots.read(7, "speed", rank=1)
        with pytest.raises(ArgumentError, match="no rank 3"):
            snapshots.read(7, "height", rank=3)
        with pytest.raises(ArgumentError, match="parts"):
            snapshots[7]
    with pytest.raises(ArgumentError, match="has been closed"):
        snapshots.read(7, "height")


@pytest.mark.parametrize(
    "array",
    [
        np.array([True, False]),
        np.array([[1, 2]], ">i2"),
        np.array([1 + 2j, 0]),
        np.array([b"abc", b""]),
        np.array(["ab", "c"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([3], "m8[25us]"),
        np.zeros((0, 5)),
        np.zeros(3, np.float16),
        np.zeros(2, "V3"),
    ],
    ids=lambda array: array.dtype.str,
)
def test_every_dtype(array, tmp_path):
    snapshot_files.make(tmp_path / "run.h5", {1: [{"u": array, "v": np.arange(3.0)}]})
    with open_snapshots(tmp_path / "run.h5") as snapshots:
        read = snapshots[1]
        assert (read["u"].dtype, read["u"].shape) == (array.dtype, array.shape)
        assert read["u"].tobytes() == array.tobytes()
        np.testing.assert_array_equal(read["v"], np.arange(3.0))


def test_dtypes_of_a_library_that_is_loaded(tmp_path):
    kinds = pytest.importorskip("ml_dtypes")
    array = np.arange(5).astype(kinds.bfloat16)
    snapshot_files.make(tmp_path / "run.h5", {1: [{"u": array}]})
    with open_snapshots(tmp_path / "run.h5") as snapshots:
        assert snapshots[1]["u"].dtype == array.dtype
        assert snapshots[1]["u"].astype(float).tolist() == [0, 1, 2, 3, 4]
