"""Without ``memory=`` a run uses a quarter of what the node, its container or its job may use."""

import os

import pytest
from pendulums import Pendulums

import adjoint
from adjoint.driver import machine_memory
from adjoint.driver.machine_memory import memory_per_rank
from adjoint.parallel import communicator

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

MIB = 1 << 20


@pytest.fixture(autouse=True)
def groups(tmp_path, monkeypatch):
    """Return a function that makes control groups: the text of their files, by path."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "MPI_LOCALNRANKS", "PMI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(machine_memory, "ROOT", str(tmp_path / "groups"))
    monkeypatch.setattr(machine_memory, "GROUPS", str(tmp_path / "own"))

    def make(own, limits):
        (tmp_path / "own").write_text(own)
        for path, text in limits.items():
            file = tmp_path / "groups" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    return make


def limit():
    return memory_per_rank(communicator(None))


def test_the_machine_without_any_limit(groups):
    assert limit() == MACHINE
    groups("0::/\n", {"memory.max": "max"})
    assert limit() == MACHINE


@pytest.mark.parametrize(
    "limits",
    [
        {"a/b/memory.max": 96 * MIB},
        {"a/memory.max": 96 * MIB, "a/b/memory.max": "max"},
        {"memory.max": 96 * MIB},
        {"a/memory.max": 96 * MIB, "a/b/memory.max": 200 * MIB},
        {"a/b/memory.high": 96 * MIB, "a/b/memory.max": 200 * MIB},
        {"a/b/memory.max": 96 * MIB, "a/other/memory.max": MIB, "a/b/c/memory.max": MIB},
    ],
)
def test_the_least_limit_of_a_group_and_those_around_it(groups, limits):
    groups("0::/a/b\n", limits)
    assert limit() == 96 * MIB


def test_groups_of_version_1(groups):
    own = "5:cpu,cpuacct:/x\n7:hugetlb,memory:/job/7\n1:name=systemd:/s\n"
    unlimited = 0x7FFFFFFFFFFFF000
    limits = {
        "memory/job/7/memory.limit_in_bytes": 80 * MIB,
        "memory/memory.limit_in_bytes": unlimited,
        "memory/x/memory.limit_in_bytes": MIB,
    }
    groups(own, limits)
    assert limit() == 80 * MIB
    # In a container the group is that of the host, and its own is mounted as the root.
    groups("7:memory:/docker/8f3a\n", {"memory/memory.limit_in_bytes": 50 * MIB})
    assert limit() == 50 * MIB


def test_limits_of_slurm(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
    assert limit() == MACHINE
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "64")
    assert limit() == 64 * MIB
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "7")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "3")
    assert limit() == 21 * MIB


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"])
def test_ranks_that_the_launcher_has_started_here_share_it(groups, monkeypatch, name):
    groups("0::/\n", {"memory.max": 60 * MIB})
    monkeypatch.setenv(name, "5")
    assert limit() == 12 * MIB


def test_a_gradient_keeps_a_quarter_of_the_limit(groups):
    groups("0::/job\n", {"job/memory.max": 4 * MIB})
    # States of 32 KiB: kept all, they would take 3 MiB.
    report = adjoint.gradient(Pendulums(2000, 100), 100).report
    assert report.memory_bytes <= MIB < report.trajectory_bytes
