"""Each option takes what means the same as its own type, and refuses the rest by its name."""

import math
from pathlib import Path

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.schedules import Revolve

STEPS = 10


class Place:
    """A path of a kind of its own."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


SWITCHES = ("check_replays", "file_per_node", "overwrite", "progress", "resume")
SIZES = ("disk", "memory")
PATHS = ("file", "trace")

ODD = {
    "a float": 0.25,
    "a large float": 1e6,
    "not a number": math.nan,
    "a huge integer": 10**400,
    "negative": -1,
    "a NumPy float": np.float32(0.25),
    "a NumPy integer": np.int64(1 << 20),
    "true": True,
    "a NumPy bool": np.bool_(True),
    "no text": "",
    "text": "yes",
    "bytes": b"1 MiB",
    "text with a zero": "a\0b",
    "half a pair": "\ud800",
    "a list": [1],
    "no list": [],
    "an array": np.array([1, 2]),
    "an array of one": np.array([1]),
    "a mapping": {},
    "an object": object(),
    "a complex number": 2 + 1j,
    "a class": Revolve,
    "a generator": iter(Revolve(STEPS, 3)),
    "a list of actions": list(Revolve(STEPS, 3)),
    "a schedule": Revolve(STEPS, 3),
    "a time": np.datetime64("2001-01-01"),
}


@pytest.fixture(scope="module")
def expected():
    return adjoint.gradient(Pendulums(2, STEPS), STEPS).cost


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(name, value):
    options = {} if name in {"comm", "memory", "schedule", "trace"} else {"file": Path("run.h5")}
    options |= {name: value}
    return adjoint.gradient(Pendulums(2, STEPS), STEPS, **options).cost


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", sorted(adjoint.RunOptions.__annotations__))
def test_odd_values(name, value, expected):
    if name == "engine" and callable(value):
        pytest.skip("a function is the caller's own, and so are its errors")
    try:
        cost, sentence = evaluate(name, value), None
    except adjoint.AdjointError as refusal:
        cost, sentence = None, str(refusal)
    if sentence is None:
        assert cost == expected
    else:
        assert name in sentence
        assert len(sentence) < 400
        assert "\n" not in sentence


GOOD = [
    *((name, value) for name in SWITCHES for value in (False, True, np.bool_(True), 0, np.int8(1))),
    *((name, value) for name in SIZES for value in (1 << 20, np.int32(1 << 20), "1 MiB")),
    *(("memory", value) for value in (np.uint64(1 << 20), np.array(1 << 20), np.str_("1 MiB"))),
    *((name, kind("other")) for name in PATHS for kind in (str, Path, Place, np.str_, str.encode)),
    *(("transfer_deadline", value) for value in (9, 9.5, np.float32(9), np.int16(9), "9")),
    *(("max_lost_share", value) for value in (0.5, np.float64(0.5), np.float16(0.5))),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_values_that_mean_the_same(name, value, expected, folder):
    assert evaluate(name, value) == expected
    if name in PATHS:
        assert (folder / "other").exists()


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["False", "no", "", None, 2, 0.0])
def test_a_switch_is_not_whatever_counts_as_true(name, value):
    with pytest.raises(adjoint.ArgumentError, match=f"{name}=.*: give True or False"):
        evaluate(name, value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("revolve", r"'revolve' is not a schedule: give .*Revolve\(num_steps, num_slots\)"),
        (Revolve, r"the class Revolve: give an instance, Revolve\("),
        (list(Revolve(STEPS, 3)), r"is not a schedule: give .*Revolve\(num_steps, num_slots\)"),
        (iter(Revolve(STEPS, 3)), r"is not a schedule: give .*Revolve\(num_steps, num_slots\)"),
    ],
)
def test_the_right_spelling_of_a_schedule(value, said):
    with pytest.raises(adjoint.ArgumentError, match=said):
        evaluate("schedule", value)


def test_an_engine_that_is_none():
    with pytest.raises(adjoint.SnapshotFileError, match=r"engine= returned None: .*base\.Engine"):
        evaluate("engine", lambda comm, placement: None)
