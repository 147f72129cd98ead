#!/usr/bin/env python3
"""Check that every test file passed at least one test in at least one environment.

    .ci/check_test_files.py RECORD [RECORD ...]

Each RECORD was written by the test runs of one environment: a line "PASSED FAILED PATH" for each
test file, two counts first (see RECORD_VARIABLE in tests/conftest.py). A skipped test has not
passed, so a file that is skipped in every environment is named, and fails the check. The exit
status is 1 then, and 0 otherwise.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

EXEMPT = {
    "tests/adjoint/schedules/test_peers_pyrevolve_agrees.py": "pyrevolve",
    "tests/adjoint/schedules/test_peers_pyrevolve_errors.py": "pyrevolve",
}
"""Files that need what neither environment has.

pyrevolve is published only as source and takes a C++ compiler, which `./dev` does not ask for.
"""


def problems(root: Path, records: Iterable[Path]) -> list[str]:
    """Return a sentence for each empty record, each file without a pass, each stale exemption."""
    found, passed = [], set[str]()
    for record in records:
        lines = record.read_text().splitlines() if record.exists() else []
        names = {path for num, _, path in (line.split(" ", 2) for line in lines) if int(num)}
        if not names:
            found.append(f"{record.name}: no test passed in this environment")
        passed |= names
    files = {str(path.relative_to(root)) for path in (root / "tests").rglob("test_*.py")}
    if not files:
        found.append(f"{root / 'tests'}: there are no test files")
    found += [
        f"{name}: no test of this file passed in any environment"
        for name in sorted(files - passed - set(EXEMPT))
    ]
    found += [
        f"{name}: exempt because of {EXEMPT[name]}, but there is no such file"
        for name in sorted(set(EXEMPT) - files)
    ]
    return found


def main() -> None:
    """Print the problems, and exit with status 1 if there are any."""
    found = problems(Path.cwd(), map(Path, sys.argv[1:]))
    print("\n".join(found) or "every test file passed at least one test")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
