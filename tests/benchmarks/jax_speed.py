"""Time of a gradient of a scan, relative to ``jax.value_and_grad`` of the full scan.

    python tests/benchmarks/jax_speed.py [--units 256] [--batch 16] [--memory "40 MB"]

An LSTM in single precision. All figures are taken in one run, interleaved, each the best of its
repeats; in brackets the same of processor time, which a busy machine disturbs less. *Allowed* is
1.1 (F0 + F + B) / (F + B), where F0 is the scan without a gradient and F + B is JAX's own gradient,
which keeps everything. *Remat* is a scan of scans with ``jax.checkpoint``, its segments the fastest
of those whose memory is at most ours; memory is what XLA says of its program and, of ours, what the
report says, both without weights and inputs.
"""

import argparse
import time

import jax
import numpy as np
from jax_lstm import arguments, body, full_scan, loss, segmented_scan, sequences

import solvers.jax


def seconds(function, *given):
    """Return how long one call takes, by the clock and on all processors together."""
    began = np.array([time.perf_counter(), time.process_time()])
    jax.block_until_ready(function(*given))
    return np.array([time.perf_counter(), time.process_time()]) - began


def in_words(figures) -> str:
    """Return a figure by the clock and, in brackets, by the processors."""
    return "{:.3f} ({:.3f})".format(*figures)


def scratch(compiled) -> int:
    """Return the bytes that a compiled program uses besides arguments and results."""
    return compiled.memory_analysis().temp_size_in_bytes


def fastest_segments(given, segments, allowed: int):
    """Return the fastest scan of scans that needs no more memory than allowed, and its segment."""
    best = (np.inf, None, 0)
    for segment in segments:
        gradient = jax.jit(jax.value_and_grad(segmented_scan(segment))).lower(*given).compile()
        if scratch(gradient) <= allowed:
            gradient(*given)
            took = seconds(gradient, *given)[0]
            best = min(best, (took, gradient, segment), key=lambda found: found[0])
    return best[1], best[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--leaf-steps", type=int, default=64)
    parser.add_argument("--memory", default="40 MB")
    parser.add_argument(
        "--segments", type=int, nargs="+", help="of remat; all there are by default"
    )
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    params, carry0 = arguments(asked.units, asked.batch)
    divisors = [k for k in range(8, asked.steps // 4) if asked.steps % k == 0]
    given = params, carry0, jax.numpy.asarray(sequences(asked.steps, asked.units, asked.batch))
    full = jax.jit(jax.value_and_grad(full_scan)).lower(*given).compile()
    forward = jax.jit(full_scan).lower(*given).compile()
    with solvers.jax.value_and_grad(
        body, loss, leaf_steps=asked.leaf_steps, memory=asked.memory
    ) as ours:
        ours(*given)
        remat, segment = fastest_segments(
            given, asked.segments or divisors, ours.report.memory_bytes
        )
        ways = {"forward": forward, "full": full, "ours": ours}
        if remat is not None:
            ways["remat"] = remat
        best = {name: seconds(way, *given) for name, way in ways.items()}
        for _ in range(asked.repeats):
            for name, way in ways.items():
                best[name] = np.minimum(best[name], seconds(way, *given))
        allowed = 1.1 * (best["forward"] + best["full"]) / best["full"]
        print(f"LSTM of {asked.units} units, batch {asked.batch}, {asked.steps} steps")
        print("seconds:", ", ".join(f"{name} {in_words(took)}" for name, took in best.items()))
        print(f"ours over full: {in_words(best['ours'] / best['full'])}")
        print(f"allowed: {in_words(allowed)}")
        if remat is not None:
            print(
                f"ours over remat: {in_words(best['ours'] / best['remat'])}; its segments have "
                f"{segment} steps, its scratch memory is {scratch(remat) / 1e6:.1f} MB"
            )
        print(f"full: {scratch(full) / 1e6:.1f} MB; ours:\n{ours.report}")


if __name__ == "__main__":
    main()
