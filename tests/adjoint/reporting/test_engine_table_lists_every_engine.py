"""`probe_engines` measures each engine, with a free core and without, and names the best."""

import json
import os
from itertools import groupby

import pytest

from adjoint.errors import ArgumentError
from adjoint.parallel import communicator
from adjoint.reporting.engine_table import as_text, probe_engines
from adjoint.storage.engines.registry import candidate_names

SIZES = (5000, 1 << 18)
KEYS = """state_bytes cores engine used reason refusal name cached write_seconds read_seconds
write_while_computing read_while_computing post_seconds wait_seconds seen_seconds read_seen_seconds
slowdown read_slowdown write_bytes_per_second read_bytes_per_second hidden_share
read_hidden_share"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("probed")


@pytest.fixture(scope="module")
def rows(folder):
    return probe_engines(folder, SIZES)


def of(row):
    return row.state_bytes, row.cores


def test_each_size_with_and_without_a_free_core(rows):
    cores = len(os.sched_getaffinity(0))
    seen = [key for key, _ in groupby(rows, of)]
    wanted = [(size, count) for size in SIZES for count in sorted({cores, 1}, reverse=True)]
    assert seen == wanted
    engines = candidate_names(communicator(None))
    assert [row.engine for row in rows] == [*engines] * len(wanted)


def test_the_engine_that_a_gradient_would_use_has_a_reason(rows):
    for _, group in groupby(rows, of):
        (used,) = [row for row in group if row.used]
        assert used.costs.engine in used.reason


def test_nothing_is_left_behind(rows, folder):
    assert not list(folder.iterdir())
    assert len(os.sched_getaffinity(0)) == max(row.cores for row in rows)


def test_text_and_json_agree(rows):
    text, numbers = as_text(rows), json.loads(json.dumps([row.as_json() for row in rows]))
    assert text.count("A gradient would use ") == len(list(groupby(rows, of)))
    assert "through the page cache" in text
    for row, found in zip(rows, numbers, strict=True):
        assert set(found) == set(KEYS.split())
        assert (found["engine"], found["used"]) == (row.engine, row.used)
        assert 0 <= found["hidden_share"] <= 1
        assert found["slowdown"] >= 1
        assert found["write_bytes_per_second"] * found["write_seconds"] == pytest.approx(
            row.state_bytes
        )
        assert f"{found['hidden_share']:.0%}" in text
        assert found["name"] in text


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="not a folder"):
        probe_engines(tmp_path / "file", SIZES)
