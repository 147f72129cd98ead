"""A state that is not C-contiguous plain numbers is refused; the error says what to do."""

import numpy as np
import pytest

from adjoint.errors import StepperError
from adjoint.storage.state_layout import StateLayout

GRID = np.zeros((4, 6))


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.array([None]), "object"),
        (np.zeros(2, [("x", "f8"), ("y", "O")]), "one array for each field"),
        (np.zeros(2, [("x", "f8"), ("y", "f4")]), "one array for each field"),
        (GRID[:, ::2], "not C-contiguous"),
        (np.asfortranarray(GRID), "not C-contiguous"),
        ([1.0, 2.0], "NumPy array, not a list"),
        (3.0, "NumPy array, not a float"),
    ],
)
def test_array_is_refused(array, complaint):
    with pytest.raises(StepperError, match=complaint) as raised:
        StateLayout.of({"fine": GRID, "pressure": array})
    assert "'pressure'" in str(raised.value)


def test_name_is_refused():
    with pytest.raises(StepperError, match="7"):
        StateLayout.of({7: GRID})
