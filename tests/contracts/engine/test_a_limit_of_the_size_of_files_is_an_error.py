"""Beyond `ulimit -f` a write fails, whichever engine does it; within the limit it succeeds."""

import errno
import resource

import pytest

from adjoint.errors import TransferError


@pytest.fixture
def limited():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_row_that_crosses_the_limit_fails(bench, is_state, limited):
    place = bench.file.placement
    limited(place.offset(5) + 100)
    writes = [bench.engine.write(row, bench.block(row), step=row) for row in (4, 5, 6)]
    for write in writes[1:]:
        with pytest.raises(TransferError, match="ulimit") as raised:
            write.wait()
        assert raised.value.errno == errno.EFBIG
    target = bench.blank()
    bench.engine.read(4, target, step=4).wait()
    assert is_state(target, 4)
