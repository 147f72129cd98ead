"""At any refinement the Salish Sea has the coordinates and the depths of the data."""

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data

from adjoint.errors import ArgumentError
from solvers import SalishSea


@pytest.mark.parametrize("refinement", [0.5, 1.0, 3.0])
def test_mean_and_range(refinement):
    sea = SalishSea.load(refinement)
    with get_sample_data("topobathy.npz") as data:
        depth = -data["topo"].astype(float)
    assert sea.bathymetry.shape == (sea.latitude.size, sea.longitude.size)
    assert sea.spacing[0] == pytest.approx(2431 / refinement, rel=1e-3)
    assert depth.min() <= sea.bathymetry.min() < sea.bathymetry.max() <= depth.max()
    assert sea.bathymetry.mean() == pytest.approx(depth.mean(), abs=15)
    assert 48 < sea.latitude[0] < sea.latitude[-1] < 50
    assert 234 < sea.longitude[0] < sea.longitude[-1] < 238


def test_places():
    sea = SalishSea.load()
    assert sea.bathymetry[sea.cell(48.2, 234.3)] > 100  # the Pacific
    assert sea.bathymetry[sea.cell(49.6, 234.5)] < -200  # Vancouver Island
    assert sea.bathymetry[sea.cell(49.3, 236.2)] > 100  # the Strait of Georgia
    row, column = sea.cell(48.7, 235.1)
    assert np.abs(sea.latitude - 48.7).argmin() == row
    assert np.abs(sea.longitude - 235.1).argmin() == column
    assert sea.coriolis == pytest.approx(1.1e-4, rel=0.01)


def test_out_of_bounds():
    with pytest.raises(ArgumentError, match="outside"):
        SalishSea.load().cell(52.0, 235.0)
    with pytest.raises(ArgumentError, match="refinement"):
        SalishSea.load(0.0)
