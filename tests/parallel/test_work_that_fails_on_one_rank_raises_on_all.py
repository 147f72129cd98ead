"""`agree_on`: work that fails on some ranks raises on all of them, and is undone on the others."""

import pytest

from adjoint.errors import AdjointError, SnapshotFileError
from adjoint.parallel import agree_on, communicator

RANKS = (1, 2, 3)


@pytest.fixture
def ranks(comm):
    ranks = communicator(comm)
    yield ranks
    ranks.free()


def test_each_rank_gets_its_own_result(ranks):
    undone = []
    result = agree_on(lambda: 10 * ranks.rank, ranks, catch=OSError, undo=undone.append)
    assert result == 10 * ranks.rank
    assert undone == []


def test_an_error_of_the_last_rank_is_raised_on_all_and_results_are_undone(ranks):
    last, undone = ranks.size - 1, []

    def work():
        if ranks.rank == last:
            raise SnapshotFileError("the disk is on fire")
        return 10 * ranks.rank

    with pytest.raises(SnapshotFileError, match="the disk is on fire") as caught:
        agree_on(work, ranks, catch=SnapshotFileError, undo=undone.append)
    if ranks.rank == last:
        assert str(caught.value) == "the disk is on fire"
        assert undone == []
    else:
        assert str(caught.value) == f"rank {last}: the disk is on fire"
        assert undone == [10 * ranks.rank]
    assert ranks.has_agreed(caught.value)


def test_an_error_is_translated(ranks):
    def work():
        if ranks.rank == 0:
            raise OSError(28, "no space")

    with pytest.raises(SnapshotFileError, match=r"cannot open a\.h5: .*no space") as caught:
        agree_on(
            work,
            ranks,
            catch=OSError,
            translate=lambda failure: SnapshotFileError(f"cannot open a.h5: {failure}"),
        )
    assert isinstance(caught.value.__cause__, OSError) == (ranks.rank == 0)


def test_an_error_of_another_kind_is_not_caught(ranks):
    def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        agree_on(work, ranks, catch=(AdjointError, OSError))
