"""A row is taken by one state at a time, used rows before new ones, and no more than exist."""

import numpy as np
import pytest

from adjoint.errors import ScheduleError
from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(10)})


@pytest.fixture
def file(tmp_path):
    with create_file(tmp_path, communicator(None), FileSpec(LAYOUT, ""), 4) as file:
        yield file


def test_rows_differ_until_given_back(file):
    assert [file.take_row() for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ScheduleError, match="all 4 rows"):
        file.take_row()
    file.give_back_row(2)
    assert file.take_row() == 2


def test_used_rows_are_taken_first(file):
    for _ in range(10):
        rows = [file.take_row(), file.take_row()]
        assert sorted(rows) == [0, 1]
        for row in rows:
            file.give_back_row(row)


def test_giving_back_what_is_not_taken_is_refused(file):
    file.take_row()
    file.give_back_row(0)
    for row in (0, 3):
        with pytest.raises(ScheduleError, match=f"row {row}"):
            file.give_back_row(row)
