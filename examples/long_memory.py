"""Learn across ten thousand steps: exact gradients compared with truncated back-propagation.

    python examples/long_memory.py [--steps 10000] [--memory "8 MiB"] [--output long_memory.png]

This is the *adding problem* (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735) with
a long wait. A network reads a hundred random numbers, two of which are marked, and then zeros for
the rest of ten thousand steps. At the end it has to return the sum of the two.

The network is an LSTM initialised as a slow memory (Tallec and Ollivier 2018, arXiv:1804.11188).
Its forget gates are so close to one that a cell keeps nine tenths of its value over the whole
sequence. Its input gates let in one part in a hundred of the inputs while there are numbers, and
one part in ten thousand afterwards. The recurrence is then close to the identity, and gradients
neither vanish nor explode; the difficulty is to compute them over all steps, which is what
`adjoint` does. Inputs are generated on demand, so neither states nor data are in memory as a whole.

*Truncated* back-propagation treats the state at the beginning of a window before the end as
constant. No numbers are read in the window, so it cannot learn what marks mean. To give it a fair
chance, SciPy's L-BFGS-B minimises the loss over the window, as it does for the exact gradient, a
few iterations at a time, and then the state before the window is computed again. The optimiser does
not know how that state changes, so errors may also rise.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from long_memory_picture import Picture
from numpy.typing import NDArray
from scipy.optimize import minimize
from tqdm import tqdm

import adjoint
from adjoint.units import format_bytes
from solvers.recurrent import LSTM, RecurrentNetwork, SquaredError
from solvers.sequences import RowSource

Array = NDArray[np.float64]

INPUTS = 3
LEAF = 100
"""Steps of a leaf."""
MEMORY_LENGTHS = 10.0
"""Time over which a memory cell decays, in lengths of the sequence."""
INPUT_WEIGHT_FACTOR = 6.0
"""Factor of the initial weights of the inputs over their usual size, so that gates differ."""
INNER_ITERATIONS = 5
"""Iterations of the optimiser on a window before the state at its beginning is recomputed."""


class Adding:
    """Sequences of the adding problem.

    Parameters
    ----------
    num_reading
        Number of first steps at which there are numbers.
    batch
        Number of sequences.
    seed
        Seed of the numbers and marks.
    """

    def __init__(self, num_reading: int, batch: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.batch = batch
        self._read = np.zeros((num_reading, batch, INPUTS))
        self._read[:, :, 0] = generator.random((num_reading, batch)) - 0.5
        marks = generator.random((num_reading, batch)).argsort(axis=0)[:2]
        self._read[marks, np.arange(batch), 1] = 1
        self._read[:, :, 2] = 1
        self.sums = (self._read[:, :, 0] * self._read[:, :, 1]).sum(axis=0)[:, None]
        """Sums of the marked numbers, ``(batch, 1)``: the targets."""

    def rows(self, start: int, stop: int) -> Array:
        """Return inputs of shape ``(stop - start, batch, 3)``.

        An input is a number, 1 if it is marked, and 1; or three zeros after the numbers.
        """
        rows = np.zeros((stop - start, self.batch, INPUTS))
        read = self._read[start:stop]
        rows[: len(read)] = read
        return rows


def network(
    data: Adding, given: argparse.Namespace, *, inputs: RowSource | None = None, **options: Any
) -> RecurrentNetwork:
    """Return the network before training; its cost is half the mean squared error.

    It reads the whole sequences, or `inputs`.
    """
    hidden, steps = given.hidden, given.steps
    net = RecurrentNetwork(
        LSTM,
        INPUTS,
        hidden,
        batch=data.batch,
        inputs=data.rows if inputs is None else inputs,
        final_loss=SquaredError(hidden, 1, scale=1 / data.batch, seed=1),
        final_targets=data.sums,
        leaf_steps=LEAF,
        **options,
    )
    weights = net.controls
    for name in ("weight_hh_l0", "bias_hh_l0", "bias_ih_l0"):
        weights[name][...] = 0
    input_gate, forget_gate = slice(hidden), slice(hidden, 2 * hidden)
    weights["bias_ih_l0"][input_gate] = -np.log(steps)
    weights["bias_ih_l0"][forget_gate] = np.log(MEMORY_LENGTHS * steps)
    weights["weight_ih_l0"][...] *= INPUT_WEIGHT_FACTOR
    weights["weight_ih_l0"][:, 2] = 0
    weights["weight_ih_l0"][input_gate, 2] = np.log(steps / given.reading)
    weights["final_readout.weight"][...] *= 0.4 * given.reading
    return net


def trained_names(net: RecurrentNetwork) -> list[str]:
    """Return the names of the weights: of all controls except the initial states."""
    return [name for name in net.controls if name not in net.distributed]


def get_weights(net: RecurrentNetwork) -> Array:
    """Return all weights as one vector."""
    return np.concatenate([net.controls[name].ravel() for name in trained_names(net)])


def set_weights(net: RecurrentNetwork, vector: Array) -> None:
    """Set all weights from a vector, in the order of `get_weights`."""
    for name in trained_names(net):
        weight = net.controls[name]
        weight[...] = vector[: weight.size].reshape(weight.shape)
        vector = vector[weight.size :]


@dataclass
class Search:
    """The history of one way to train."""

    test: RecurrentNetwork
    """A network that reads test sequences."""
    num_steps: int
    weights: Array
    iterations: list[int] = field(default_factory=list[int])
    errors: list[float] = field(default_factory=list[float])
    """Mean squared errors on the test sequences, after each of `iterations`."""

    def note(self, weights: Array, iterations: int) -> None:
        """Evaluate weights on the test sequences, and add the error to the history."""
        set_weights(self.test, weights)
        self.test.start()
        self.test.advance(0, self.num_steps)
        self.errors.append(2 * self.test.turn(0.0))
        self.iterations.append(iterations)
        self.weights = np.array(weights)

    def predictions(self) -> Array:
        """Return the sums that the network predicts for the test sequences."""
        set_weights(self.test, self.weights)
        self.test.start()
        self.test.advance(0, self.num_steps)
        weight, bias = (self.test.controls[f"final_readout.{n}"] for n in ("weight", "bias"))
        return self.test.state["h"][-1] @ weight[0] + bias[0]


def minimised(
    functional: adjoint.Functional, net: RecurrentNetwork, iterations: int, callback: object = None
) -> Array:
    """Return the weights after some iterations of L-BFGS-B, from those of the network."""

    def cost(vector: Array) -> tuple[float, Array]:
        set_weights(net, vector)
        value, gradient = functional.value_and_gradient()
        return value, np.concatenate([gradient[name].ravel() for name in trained_names(net)])

    options = {"maxiter": iterations, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
    start = get_weights(net)
    found = minimize(cost, start, jac=True, method="L-BFGS-B", callback=callback, options=options)
    return found.x


def train_exactly(data: Adding, search: Search, given: argparse.Namespace) -> adjoint.Report:
    """Train with the gradient through all steps; return the report of the last one."""
    net = network(data, given)
    with (
        adjoint.Functional(net, given.steps, memory=given.memory) as functional,
        tqdm(total=given.iterations, desc="exact", unit="iteration") as bar,
    ):

        def note(weights: Array) -> None:
            search.note(weights, len(search.iterations))
            bar.set_postfix_str(f"error {search.errors[-1]:.4f}")
            bar.update()

        search.note(get_weights(net), 0)
        minimised(functional, net, given.iterations, note)
        assert functional.report is not None
        return functional.report


def train_truncated(data: Adding, search: Search, given: argparse.Namespace) -> None:
    """Train with the gradient through the window of last steps only."""
    begin = given.steps - given.window
    whole = network(data, given)
    window = network(data, given, inputs=lambda i, j: data.rows(begin + i, begin + j))
    rounds = given.iterations // INNER_ITERATIONS
    with (
        adjoint.Functional(window, given.window, memory=given.memory) as functional,
        tqdm(total=given.iterations, desc="truncated", unit="iteration") as bar,
    ):
        weights = get_weights(whole)
        search.note(weights, 0)
        for round_ in range(1, rounds + 1):
            set_weights(whole, weights)
            whole.start()
            whole.advance(0, begin)
            for name, array in whole.state.items():
                window.controls[f"{name}0"][...] = array
            weights = minimised(functional, window, INNER_ITERATIONS)
            search.note(weights, round_ * INNER_ITERATIONS)
            bar.set_postfix_str(f"error {search.errors[-1]:.4f}")
            bar.update(INNER_ITERATIONS)


def reach(data: Adding, given: argparse.Namespace) -> Array:
    """Return the norm of the gradient with respect to the inputs of each leaf, untrained."""
    rows = data.rows(0, given.steps)
    gradient = np.zeros_like(rows)
    net = network(data, given, inputs=rows, input_gradient=gradient)
    adjoint.gradient(net, given.steps, memory=given.memory)
    squares = (gradient**2).sum(axis=(1, 2))
    return np.sqrt(np.add.reduceat(squares, np.arange(0, given.steps, LEAF)))


def go_further(data: Adding, weights: Array, given: argparse.Namespace) -> adjoint.Report:
    """Compute one gradient with a longer wait, at trained weights; return its report."""
    net = network(data, given)
    set_weights(net, weights)
    return adjoint.gradient(net, given.long_steps, memory=given.memory, progress=True).report


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000, help="steps of a sequence (10000)")
    parser.add_argument("--reading", type=int, default=100, help="steps with numbers (100)")
    parser.add_argument("--window", type=int, default=1000, help="steps not truncated (1000)")
    parser.add_argument(
        "--long-steps", type=int, default=100_000, help="steps of a final gradient (100000)"
    )
    parser.add_argument("--batch", type=int, default=64, help="sequences (64)")
    parser.add_argument("--hidden", type=int, default=8, help="memory cells (8)")
    parser.add_argument("--iterations", type=int, default=50, help="of L-BFGS-B (50)")
    parser.add_argument("--memory", default="8 MiB", help="for states and tapes (8 MiB)")
    parser.add_argument("--seed", type=int, default=0, help="of the sequences (0)")
    parser.add_argument("--output", default="long_memory.png", help="file of the picture")
    return parser.parse_args()


def main() -> None:
    """Train both ways, compute one longer gradient, print the results and draw them."""
    given = arguments()
    if not 0 < given.window <= given.steps - given.reading:
        raise SystemExit(f"--window {given.window}: must be within the steps without numbers")
    began = time.perf_counter()
    data = Adding(given.reading, given.batch, given.seed)
    test = Adding(given.reading, given.batch, given.seed + 1)
    searches = {
        name: Search(network(test, given), given.steps, np.empty(0))
        for name in ("exact", "truncated")
    }
    report = train_exactly(data, searches["exact"], given)
    train_truncated(data, searches["truncated"], given)
    further = go_further(data, searches["exact"].weights, given)
    print_results(searches, test, report, further)
    picture = Picture(test.sums[:, 0])
    picture.draw_search({name: (s.iterations, s.errors) for name, s in searches.items()})
    picture.draw_predictions({name: s.predictions() for name, s in searches.items()})
    picture.draw_reach(reach(data, given), LEAF, given.reading, given.window)
    picture.save(given.output)
    print(f"{given.output} written; {time.perf_counter() - began:.0f} s in all")


def print_results(
    searches: Mapping[str, Search],
    test: Adding,
    report: adjoint.Report,
    further: adjoint.Report,
) -> None:
    """Print the errors, and what gradients took."""
    variance = float(test.sums.var())
    print(f"mean squared error on test sequences; of always predicting the mean: {variance:.4f}")
    for name, search in searches.items():
        ends = f"{search.errors[0]:.4f} -> {search.errors[-1]:.4f}"
        print(f"{name:10} {ends}, lowest {min(search.errors):.4f}")
    for done in (report, further):
        trajectory = done.num_steps * done.state_bytes
        seconds = done.forward_seconds + done.reverse_seconds
        print(
            f"one gradient over {done.num_steps:,} steps: {seconds:.1f} s, "
            f"{format_bytes(done.memory_bytes)} for states and tapes "
            f"(all states take {format_bytes(trajectory)}); {done.schedule}"
        )


if __name__ == "__main__":
    main()
