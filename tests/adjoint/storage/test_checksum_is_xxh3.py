"""Checksums in files are those of the reference implementation of XXH3."""

import numpy as np
import pytest

from adjoint.storage.checksums import checksum


def sanity_buffer(length):
    """The input of the reference implementation's own self-test (xxhsum.c, XSUM_fillTestBuffer)."""
    value, out = 2654435761, []
    for _ in range(length):
        out.append(value >> 56)
        value = value * 11400714785074694797 % 2**64
    return np.array(out, np.uint8)


@pytest.mark.parametrize(
    ("length", "expected"),
    [  # xxhsum's table XSUM_XXH3_testdata, seed 0
        (0, 0x2D06800538D394C2),
        (1, 0xC44BDFF4074EECDB),
        (6, 0x27B56A84CD2D7325),
        (12, 0xA713DAF0DFBB77E7),
        (24, 0xA3FE70BF9D3510EB),
        (48, 0x397DA259ECBA1F11),
        (80, 0xBCDEFBBB2C47C90A),
        (195, 0xCD94217EE362EC3A),
        (403, 0xCDEB804D65C6DEA4),
        (512, 0x617E49599013CB6B),
        (2048, 0xDD59E2C3A5F038E0),
        (2240, 0x6E73A90539CF2948),
        (2367, 0xCB37AEB9E5D361ED),
    ],
)
def test_reference_values(length, expected):
    assert checksum(sanity_buffer(length)) == expected
