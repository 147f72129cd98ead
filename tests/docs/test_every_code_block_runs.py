"""Every Python block of the README and the documentation runs, in order, as a reader would."""

import re
from contextlib import suppress
from pathlib import Path

import pytest

from adjoint.storage.engines import registry

# Loaded here: the pipes that MPI opens stay open, and no page has opened them.
with suppress(ImportError):
    import mpi4py.MPI  # noqa: F401  (first: it finds the MPI that petsc4py needs)
    import petsc4py.PETSc  # noqa: F401

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "_build" not in page.parts and BLOCK.search(page.read_text())
]


OPTIONAL = re.compile(r"^(?:import|from) (dolfinx|jax|petsc4py|torch)\b", re.MULTILINE)


def pages():
    """Yield each page, marked with the optional dependencies of its blocks."""
    for page in PAGES:
        code = "".join(block[1] for block in BLOCK.finditer(page.read_text()))
        marks = [pytest.mark.needs(name) for name in sorted(set(OPTIONAL.findall(code)))]
        yield pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.mark.parametrize("page", list(pages()))
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "ENGINES", dict(registry.ENGINES))  # pages may add to it
    text = page.read_text()
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        # The empty lines make tracebacks name the line of the page.
        lines = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(lines + block[1], str(page), "exec"), namespace)
