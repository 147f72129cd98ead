"""Learning across ten thousand steps: exact gradients, and truncated back-propagation beside them.

    python examples/long_memory.py [--steps 10000] [--memory "8 MiB"] [--output long_memory.png]

The *adding problem* (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735), with a long
wait: a network reads a hundred random numbers, two of which are marked; then nothing, for the rest
of ten thousand steps; at the end it has to say the sum of the two.

The network is an LSTM that begins as a slow memory (Tallec and Ollivier 2018, arXiv:1804.11188):
forget gates so close to one that a cell keeps nine tenths of what it holds over the whole sequence;
input gates that let in one part in a hundred while there is something to read, and in the silence
one part in ten thousand. So its recurrence is near the identity, and gradients neither vanish nor
explode: what is needed is to have them, over all steps. That is what `adjoint` is for. Inputs are
made as they are needed, so neither states nor data are ever in memory whole.

*Truncated* back-propagation takes the state some steps before the end for given, and differentiates
the rest, in which nothing is read: it cannot learn what a mark is for. Here it is given its chance:
SciPy's L-BFGS-B, as for the exact gradient, minimises the loss of the window, a few iterations at a
time, then the state before it is computed anew, and so on. What that does to the steps before the
window the optimiser cannot know, so errors rise as well as fall.
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
"""Steps that are taken at once."""
KEPT = 10.0
"""Times the sequence's length over which a memory cell forgets."""
LOUDNESS = 6.0
"""Times their usual size that weights of the inputs begin with, so that gates differ."""
INNER_ITERATIONS = 5
"""Of the optimiser on a window, before the state at its beginning is computed anew."""


class Adding:
    """Sequences of the adding problem.

    Parameters
    ----------
    num_reading
        Steps, the first, in which there are numbers.
    batch
        How many sequences.
    seed
        Of the numbers and marks.
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
        """What is to be learnt: ``(batch, 1)``."""

    def rows(self, start: int, stop: int) -> Array:
        """Return inputs, ``(stop - start, batch, 3)``: a number, whether it is marked, and one.

        In the silence all are zero.
        """
        rows = np.zeros((stop - start, self.batch, INPUTS))
        read = self._read[start:stop]
        rows[: len(read)] = read
        return rows


def network(
    data: Adding, given: argparse.Namespace, *, inputs: RowSource | None = None, **options: Any
) -> RecurrentNetwork:
    """Return the network as it is before training; its cost is half the mean squared error.

    It reads all of the sequences, or what `inputs` gives.
    """
    hidden, steps = given.hidden, given.steps
    made = RecurrentNetwork(
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
    weights = made.controls
    for name in ("weight_hh_l0", "bias_hh_l0", "bias_ih_l0"):
        weights[name][...] = 0
    let_in, forget = slice(hidden), slice(hidden, 2 * hidden)
    weights["bias_ih_l0"][let_in] = -np.log(steps)
    weights["bias_ih_l0"][forget] = np.log(KEPT * steps)
    weights["weight_ih_l0"][...] *= LOUDNESS
    weights["weight_ih_l0"][:, 2] = 0
    weights["weight_ih_l0"][let_in, 2] = np.log(steps / given.reading)
    weights["final_readout.weight"][...] *= 0.4 * given.reading
    return made


def trained_names(net: RecurrentNetwork) -> list[str]:
    """Return the weights: all controls but the initial states."""
    return [name for name in net.controls if name not in net.distributed]


def get_weights(net: RecurrentNetwork) -> Array:
    """Return all weights as one vector."""
    return np.concatenate([net.controls[name].ravel() for name in trained_names(net)])


def set_weights(net: RecurrentNetwork, vector: Array) -> None:
    """Put a vector's entries where `get_weights` takes them from."""
    for name in trained_names(net):
        weight = net.controls[name]
        weight[...] = vector[: weight.size].reshape(weight.shape)
        vector = vector[weight.size :]


@dataclass
class Search:
    """One way to train, and how far it has come."""

    test: RecurrentNetwork
    """Reads sequences that are not trained on."""
    num_steps: int
    weights: Array
    iterations: list[int] = field(default_factory=list[int])
    errors: list[float] = field(default_factory=list[float])
    """Mean squared errors on those, after so many iterations."""

    def note(self, weights: Array, iterations: int) -> None:
        """Note how well some weights do."""
        set_weights(self.test, weights)
        self.test.start()
        self.test.advance(0, self.num_steps)
        self.errors.append(2 * self.test.turn(0.0))
        self.iterations.append(iterations)
        self.weights = np.array(weights)

    def predictions(self) -> Array:
        """Return what the network says the test sequences' sums are."""
        set_weights(self.test, self.weights)
        self.test.start()
        self.test.advance(0, self.num_steps)
        weight, bias = (self.test.controls[f"final_readout.{n}"] for n in ("weight", "bias"))
        return self.test.state["h"][-1] @ weight[0] + bias[0]


def minimised(
    functional: adjoint.Functional, net: RecurrentNetwork, iterations: int, callback: object = None
) -> Array:
    """Return the weights after so many iterations of L-BFGS-B, from those the network has."""

    def cost(vector: Array) -> tuple[float, Array]:
        set_weights(net, vector)
        value, gradient = functional.value_and_gradient()
        return value, np.concatenate([gradient[name].ravel() for name in trained_names(net)])

    options = {"maxiter": iterations, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
    start = get_weights(net)
    found = minimize(cost, start, jac=True, method="L-BFGS-B", callback=callback, options=options)
    return found.x


def train_exactly(data: Adding, search: Search, given: argparse.Namespace) -> adjoint.Report:
    """Train with the gradient through all steps; return what the last one took."""
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
    """Train with the gradient through the last steps only."""
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
    """Return how strongly the cost depends on the inputs of each leaf, before training."""
    rows = data.rows(0, given.steps)
    grown = np.zeros_like(rows)
    net = network(data, given, inputs=rows, input_gradient=grown)
    adjoint.gradient(net, given.steps, memory=given.memory)
    squares = (grown**2).sum(axis=(1, 2))
    return np.sqrt(np.add.reduceat(squares, np.arange(0, given.steps, LEAF)))


def go_further(data: Adding, weights: Array, given: argparse.Namespace) -> adjoint.Report:
    """Return what one gradient with a longer wait takes, with the weights found."""
    net = network(data, given)
    set_weights(net, weights)
    return adjoint.gradient(net, given.long_steps, memory=given.memory, progress=True).report


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000, help="of a sequence (10000)")
    parser.add_argument("--reading", type=int, default=100, help="of those with numbers (100)")
    parser.add_argument("--window", type=int, default=1000, help="steps not truncated (1000)")
    parser.add_argument(
        "--long-steps", type=int, default=100_000, help="of one more gradient, at the end (100000)"
    )
    parser.add_argument("--batch", type=int, default=64, help="sequences (64)")
    parser.add_argument("--hidden", type=int, default=8, help="memory cells (8)")
    parser.add_argument("--iterations", type=int, default=50, help="of L-BFGS-B (50)")
    parser.add_argument("--memory", default="8 MiB", help="for states and tapes (8 MiB)")
    parser.add_argument("--seed", type=int, default=0, help="of the sequences (0)")
    parser.add_argument("--output", default="long_memory.png", help="the picture")
    return parser.parse_args()


def main() -> None:
    """Train both ways, draw what came of it, and go ten times as far once."""
    given = arguments()
    if not 0 < given.window <= given.steps - given.reading:
        raise SystemExit(f"--window {given.window}: it must be within the steps without numbers")
    began = time.perf_counter()
    data = Adding(given.reading, given.batch, given.seed)
    unseen = Adding(given.reading, given.batch, given.seed + 1)
    searches = {
        name: Search(network(unseen, given), given.steps, np.empty(0))
        for name in ("exact", "truncated")
    }
    report = train_exactly(data, searches["exact"], given)
    train_truncated(data, searches["truncated"], given)
    further = go_further(data, searches["exact"].weights, given)
    tell(searches, unseen, report, further)
    picture = Picture(unseen.sums[:, 0])
    picture.draw_search({name: (s.iterations, s.errors) for name, s in searches.items()})
    picture.draw_predictions({name: s.predictions() for name, s in searches.items()})
    picture.draw_reach(reach(data, given), LEAF, given.reading, given.window)
    picture.save(given.output)
    print(f"{given.output} written; {time.perf_counter() - began:.0f} s in all")


def tell(
    searches: Mapping[str, Search],
    unseen: Adding,
    report: adjoint.Report,
    further: adjoint.Report,
) -> None:
    """Print what was learnt, and what it took."""
    guessing = float(unseen.sums.var())
    print(f"mean squared error on sequences not trained on; always saying the mean: {guessing:.4f}")
    for name, search in searches.items():
        ends = f"{search.errors[0]:.4f} -> {search.errors[-1]:.4f}"
        print(f"{name:10} {ends}, the least {min(search.errors):.4f}")
    for done in (report, further):
        trajectory = done.num_steps * done.state_bytes
        seconds = done.forward_seconds + done.reverse_seconds
        print(
            f"one gradient over {done.num_steps:,} steps: {seconds:.1f} s, "
            f"{format_bytes(done.memory_bytes)} for states and tapes "
            f"(all states would be {format_bytes(trajectory)}); {done.schedule}"
        )


if __name__ == "__main__":
    main()
