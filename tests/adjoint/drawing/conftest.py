"""Matplotlib opens its fonts at the first figure and never closes them: that is no test's doing."""

import io

import pytest


@pytest.fixture(scope="session", autouse=True)
def fonts():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.text(0, 0, "text")
    figure.savefig(io.BytesIO())
