"""Under mpirun ``adjoint probe`` measures on all ranks at once; one of them prints or complains."""

from adjoint import cli

RANKS = (2,)


def test_the_table(comm, tmp_path, capsys):
    assert cli.main(["probe", str(tmp_path), "--state", "20 kB"]) == 0
    printed = comm.allgather(capsys.readouterr().out)
    assert "a transfer thread" in printed[0]
    assert printed[1:] == [""] * (comm.size - 1)
    comm.Barrier()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_none(comm, tmp_path, capsys):
    assert cli.main(["probe", str(tmp_path / "nowhere")]) == 2
    printed = comm.allgather(capsys.readouterr().err)
    assert "not a folder" in printed[0]
    assert printed[1:] == [""] * (comm.size - 1)
