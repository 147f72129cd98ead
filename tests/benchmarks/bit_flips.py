"""Every bit of the index, the journal's headers and the description of a small file, flipped.

    python tests/benchmarks/bit_flips.py [--every 1]

For each the run that left the file is resumed. Prints how the runs ended; exit code 1 if one had
another gradient. With ``--every 7`` each seventh byte is taken.
"""

import argparse
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "oracles")]

import byte_flips  # noqa: E402
from tqdm import tqdm  # noqa: E402


def main():
    """Flip the bits; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="take one byte of this number")
    options = parser.parse_args()
    logging.disable()
    byte_flips.make_frequent()
    ends = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for at in (20, 45):
            path = Path(folder) / f"run-{at}.h5"
            sound = byte_flips.crash(path, at)
            for name, positions in byte_flips.parts(path).items():
                for position in tqdm(positions[:: options.every], f"{at}: {name}"):
                    for bit in range(8):
                        ends[name, byte_flips.outcome(path, sound, position, bit)] += 1
    for (name, end), count in sorted(ends.items()):
        print(f"{name:20} {end:14} {count:7,}")
    return int(any(end == byte_flips.WRONG for _, end in ends))


if __name__ == "__main__":
    sys.exit(main())
