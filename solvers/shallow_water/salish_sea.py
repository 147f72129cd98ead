"""Real topography: Vancouver Island and the Salish Sea, from the sample data of matplotlib.

The data are 91 x 120 points, about 2.4 km apart, from 48 to 50 degrees north and from 234 to 238
degrees east, with heights from -1437 m to 2205 m. They are interpolated bilinearly to square cells
of the plane that touches the Earth at their centre.
"""

from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["SalishSea"]

EARTH_RADIUS = 6_371_000.0
"""Mean radius, in metres."""
EARTH_ROTATION = 7.292e-5
"""Angular velocity, in radians per second."""


@dataclass(frozen=True, slots=True)
class SalishSea:
    """The topography on a uniform grid of square cells."""

    bathymetry: NDArray[np.float64]
    """Depth in metres, negative on land; rows go north, columns east."""
    spacing: tuple[float, float]
    """Distance between rows and between columns, in metres."""
    latitude: NDArray[np.float64]
    """Latitude of each row, in degrees north."""
    longitude: NDArray[np.float64]
    """Longitude of each column, in degrees east."""

    @classmethod
    def load(cls, refinement: float = 1.0) -> Self:
        """Interpolate to cells of about 2.4 km divided by `refinement`.

        Raises
        ------
        ArgumentError
            `refinement` is not positive.
        """
        if not (np.isfinite(refinement) and refinement > 0):
            raise ArgumentError(f"refinement must be positive and finite, not {refinement}")
        topography, latitude, longitude = _sample_data()
        metres_north = np.radians(1.0) * EARTH_RADIUS
        metres_east = metres_north * np.cos(np.radians(latitude.mean()))
        height = metres_north * (latitude[-1] - latitude[0])
        width = metres_east * (longitude[-1] - longitude[0])
        spacing = float(height) / (latitude.size - 1) / refinement
        rows, columns = int(height / spacing + 0.5), int(width / spacing)
        north = latitude[0] + (np.arange(rows) + 0.5) * spacing / metres_north
        east = longitude[0] + (np.arange(columns) + 0.5) * spacing / metres_east
        depth = -_interpolated(latitude, north) @ topography @ _interpolated(longitude, east).T
        return cls(np.ascontiguousarray(depth), (spacing, spacing), north, east)

    @property
    def coriolis(self) -> float:
        """The Coriolis parameter at the centre, in radians per second."""
        return float(2 * EARTH_ROTATION * np.sin(np.radians(self.latitude.mean())))

    def cell(self, latitude: float, longitude: float) -> tuple[int, int]:
        """Return row and column of the cell at a place given in degrees.

        Raises
        ------
        ArgumentError
            The place is outside the grid.
        """
        place = []
        for value, axis in ((latitude, self.latitude), (longitude, self.longitude)):
            index = round((value - axis[0]) / (axis[1] - axis[0]))
            if not 0 <= index < axis.size:
                raise ArgumentError(f"{latitude} N, {longitude} E is outside the grid")
            place.append(index)
        return place[0], place[1]


def _sample_data() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    with cast(Any, get_sample_data("topobathy.npz")) as data:
        fields = [np.asarray(data[name], float) for name in ("topo", "latitude", "longitude")]
    topography, latitude, longitude = fields
    order = np.argsort(latitude)
    return topography[order], latitude[order], longitude


def _interpolated(points: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """Return the matrix that interpolates linearly from `points` to `wanted`."""
    below = np.clip(np.searchsorted(points, wanted) - 1, 0, points.size - 2)
    weight = (wanted - points[below]) / (points[below + 1] - points[below])
    matrix = np.zeros((wanted.size, points.size))
    matrix[np.arange(wanted.size), below] = 1 - weight
    matrix[np.arange(wanted.size), below + 1] = weight
    return matrix
