"""Time of a step of the NumPy LSTM, relative to torch's LSTMCell: float32, one thread.

    OMP_NUM_THREADS=1 python tests/benchmarks/lstm_against_torch.py [--leaf 64] [--repeats 5]

Both take the same steps on the same numbers, interleaved, each the best of its repeats; columns are
microseconds a step of ours, and the ratio to torch's:

forward      advance; torch under no_grad
record       the same with a tape; torch with its graph
pull back    through the whole leaf, gradients of all weights; torch.autograd.backward
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from solvers.recurrent import LSTM, RecurrentNetwork

SIZES = ((256, 16), (1024, 64))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def networks(hidden: int, batch: int, leaf: int) -> tuple[RecurrentNetwork, torch.nn.LSTMCell]:
    """Return both with the same weights."""
    inputs = np.random.default_rng(0).standard_normal((leaf, batch, hidden), np.float32)
    ours = RecurrentNetwork(
        LSTM, hidden, hidden, batch=batch, inputs=inputs, leaf_steps=leaf, dtype=np.float32
    )
    theirs = torch.nn.LSTMCell(hidden, hidden)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            ours.controls[f"{name}_l0"][...] = weight.numpy()
    return ours, theirs


def measure(hidden: int, batch: int, leaf: int, repeats: int) -> None:
    ours, theirs = networks(hidden, batch, leaf)
    rows = torch.from_numpy(np.asarray(ours._inputs.read(0, leaf)))

    def run() -> torch.Tensor:
        h = c = torch.zeros(batch, hidden)
        for row in rows:
            h, c = theirs(row, (h, c))
        return h.sum() + c.sum()

    def run_without_graph() -> None:
        with torch.no_grad():
            run()

    best = dict.fromkeys(("forward", "record", "pull back"), (np.inf, np.inf))
    for _ in range(repeats):
        ours.start()
        forward = seconds(lambda: ours.advance(0, leaf)), seconds(run_without_graph)
        ours.start()
        record = seconds(lambda: ours.record(0, leaf, reach_stop=False)), seconds(run)
        ours.turn(0.0)
        for array in ours.adjoint.values():
            array[...] = 1
        theirs.zero_grad(set_to_none=True)
        pull_back = seconds(lambda: ours.pull_back(0, leaf)), seconds(run().backward)
        for name, found in zip(best, (forward, record, pull_back), strict=True):
            best[name] = tuple(min(pair) for pair in zip(best[name], found, strict=True))
    for name, weight in theirs.named_parameters():
        grown = ours.accumulators[f"{name}_l0"]
        assert np.allclose(grown, weight.grad.numpy(), rtol=1e-3, atol=1e-3 * np.abs(grown).max())
    print(f"LSTM {hidden} x batch {batch}:", end="")
    for name, (own, other) in best.items():
        print(f"   {name} {own / leaf * 1e6:.0f} ({own / other:.2f})", end="")
    own, other = (sum(column) for column in zip(*best.values(), strict=True))
    print(f"   all {own / other:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leaf", type=int, default=64, help="steps of a leaf (64)")
    parser.add_argument("--repeats", type=int, default=5, help="of which the best counts (5)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for hidden, batch in SIZES:
        measure(hidden, batch, given.leaf, given.repeats)


if __name__ == "__main__":
    main()
