"""Recurrent networks and their loss, written out step by step for NumPy, JAX and PyTorch.

It shares no code with `solvers.recurrent`: one step at a time, sequences of a batch masked by
`where`, every gate by its textbook formula. It is differentiated by the complex step (Squire and
Trapp 1998, doi:10.1137/S003614459631241X), by JAX or by PyTorch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from solvers.recurrent import GRU, LSTM, CrossEntropy, RecurrentNetwork, SquaredError, Tanh

CELLS = {"tanh": Tanh, "gru": GRU, "lstm": LSTM}


@dataclass(frozen=True)
class Problem:
    """A small network with data, for the solver and for the oracle."""

    cell: str
    num_layers: int = 1
    num_steps: int = 7
    batch: int = 3
    input_size: int = 2
    hidden_size: int = 3
    lengths: tuple[int, ...] | None = None
    classes: int = 0
    """For a cross-entropy; with none the loss is a squared error."""
    final: bool = True
    seed: int = 0

    def data(self) -> dict[str, np.ndarray]:
        """Return inputs, targets and final targets; the padding is NaN or an invalid class."""
        rng = np.random.default_rng([self.seed, 11])
        steps, batch = self.num_steps, self.batch
        found: dict[str, np.ndarray] = {
            "inputs": rng.standard_normal((steps, batch, self.input_size)),
            "targets": rng.standard_normal((steps, batch, 2)),
            "final_targets": rng.standard_normal((batch, 2)),
        }
        if self.classes:
            found["targets"] = rng.integers(0, self.classes, (steps, batch))
        if self.lengths is not None:
            ended = np.arange(steps)[:, None] >= np.array(self.lengths)
            found["inputs"][ended] = np.nan
            found["targets"][ended] = -5 if self.classes else np.nan
        return found

    def network(self, dtype=np.float64, **options) -> RecurrentNetwork:
        """Return the solver, with initial states that are not zero."""
        made = {"dtype": dtype, "seed": self.seed + 1}
        kind = CrossEntropy if self.classes else SquaredError
        given = {
            **self.data(),
            **made,
            "batch": self.batch,
            "num_layers": self.num_layers,
            "lengths": self.lengths,
            "leaf_steps": 3,
            "loss": kind(self.hidden_size, self.classes or 2, scale=0.7, **made),
            "final_loss": SquaredError(self.hidden_size, 2, **made),
        }
        if not self.final:
            del given["final_targets"], given["final_loss"]
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        network = RecurrentNetwork(CELLS[self.cell], **{**sizes, **given, **options})
        rng = np.random.default_rng([self.seed, 13])
        for name in ("h0", "c0"):
            if name in network.controls:
                network.controls[name][...] = rng.standard_normal(network.controls[name].shape)
        return network


def step(cell: str, w: Mapping[str, Any], layer: int, x: Any, state: dict[str, Any], xp: Any):
    """Return a layer's state after a step."""
    h = state["h"]
    from_x = x @ w[f"weight_ih_l{layer}"].T + w[f"bias_ih_l{layer}"]
    from_h = h @ w[f"weight_hh_l{layer}"].T + w[f"bias_hh_l{layer}"]
    size = h.shape[1]

    def part(array, k):
        return array[:, k * size : (k + 1) * size]

    def logistic(a):
        return 1 / (1 + xp.exp(-a))

    if cell == "tanh":
        return {"h": xp.tanh(from_x + from_h)}
    if cell == "gru":
        r = logistic(part(from_x, 0) + part(from_h, 0))
        z = logistic(part(from_x, 1) + part(from_h, 1))
        n = xp.tanh(part(from_x, 2) + r * part(from_h, 2))
        return {"h": (1 - z) * n + z * h}
    i, f, g, o = (part(from_x + from_h, k) for k in range(4))
    c = logistic(f) * state["c"] + logistic(i) * xp.tanh(g)
    return {"h": logistic(o) * xp.tanh(c), "c": c}


def cost(problem: Problem, w: Mapping[str, Any], xp: Any, as_array: Any) -> Any:
    """Return the cost of a whole run, given all controls by name."""
    return cost_of(problem, hidden_states(problem, w, xp, as_array), w, xp, as_array)


def hidden_states(problem: Problem, w: Mapping[str, Any], xp: Any, as_array: Any) -> list[Any]:
    """Return the hidden states of the top layer, after each step."""
    inputs = w.get("inputs", as_array(np.nan_to_num(problem.data()["inputs"])))
    names = [name for name in ("h", "c") if f"{name}0" in w]
    states = [{n: w[f"{n}0"][k] for n in names} for k in range(problem.num_layers)]
    found = []
    for k in range(problem.num_steps):
        x = inputs[k]
        for layer, before in enumerate(states):
            after = step(problem.cell, w, layer, x, before, xp)
            mask = as_array(alive_at(problem, k)[:, None])
            states[layer] = {n: xp.where(mask, after[n], before[n]) for n in names}
            x = states[layer]["h"]
        found.append(x)
    return found


def alive_at(problem: Problem, k: int) -> np.ndarray:
    """Return which sequences are alive at a step."""
    lengths = problem.lengths or (problem.num_steps,) * problem.batch
    return np.array([k < length for length in lengths])


def cost_of(
    problem: Problem, hidden: list[Any], w: Mapping[str, Any], xp: Any, as_array: Any
) -> Any:
    """Return the cost of hidden states after each step."""
    data, total = problem.data(), 0.0
    for k, x in enumerate(hidden):
        alive = alive_at(problem, k)
        scores = x @ w["readout.weight"].T + w["readout.bias"]
        if problem.classes:
            logs = xp.log(xp.exp(scores).sum(1))
            right = np.where(alive, data["targets"][k], 0)
            each = [logs[b] - scores[b, int(right[b])] for b in range(problem.batch)]
        else:
            apart = scores - as_array(np.nan_to_num(data["targets"][k]))
            each = list((apart**2).sum(1) / 2)
        total = total + 0.7 * sum(e for e, counts in zip(each, alive, strict=True) if counts)
    if problem.final:
        results = hidden[-1] @ w["final_readout.weight"].T + w["final_readout.bias"]
        total = total + ((results - as_array(data["final_targets"])) ** 2).sum() / 2
    return total


def complex_step(problem: Problem, w: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the gradient, one component at a time."""
    gradient = {name: np.zeros(array.shape) for name, array in w.items()}
    moved = {name: array.astype(complex) for name, array in w.items()}
    for name, array in moved.items():
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] += 1e-30j
            gradient[name][index] = cost(problem, moved, np, np.asarray).imag / 1e-30
            array[index] = kept
    return gradient


def by_torch(problem: Problem, w: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the gradient by PyTorch, in double precision."""
    torch = import_module("torch")
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in w.items()}
    cost(problem, leaves, torch, torch.as_tensor).backward()
    return {name: leaf.grad.numpy() for name, leaf in leaves.items()}


def by_jax(problem: Problem, w: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the gradient by JAX, in double precision."""
    jax = import_module("jax")
    array = jax.numpy.asarray
    with jax.enable_x64(True):
        given = {name: array(values) for name, values in w.items()}
        found = jax.grad(lambda leaves: cost(problem, leaves, jax.numpy, array))(given)
        return {name: np.asarray(values) for name, values in found.items()}


def products_by_jax(
    problem: Problem, w: Mapping[str, np.ndarray], v: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the Hessian and the Gauss-Newton product with a direction, in double precision."""
    jax = import_module("jax")
    array, given = jax.numpy.asarray, (problem, jax.numpy, jax.numpy.asarray)
    with jax.enable_x64(True):
        point = {name: array(values) for name, values in w.items()}
        along = {name: array(values) for name, values in v.items()}

        def hidden(leaves):
            return hidden_states(problem, leaves, *given[1:])

        def whole(leaves):
            return cost(problem, leaves, *given[1:])

        first, linear = jax.linearize(hidden, point)

        def linearised(moved):
            states = [a + b for a, b in zip(first, linear(moved), strict=True)]
            leaves = {name: point[name] + moved[name] for name in point}
            return cost_of(problem, states, leaves, *given[1:])

        zero = {name: 0 * values for name, values in point.items()}
        hessian = jax.jit(lambda: jax.jvp(jax.grad(whole), (point,), (along,))[1])()
        newton = jax.jit(lambda: jax.jvp(jax.grad(linearised), (zero,), (along,))[1])()
        return tuple({k: np.asarray(a) for k, a in each.items()} for each in (hessian, newton))


def copied(network: RecurrentNetwork) -> dict[str, np.ndarray]:
    """Return copies of a network's controls, in double precision."""
    return {name: np.array(control, np.float64) for name, control in network.controls.items()}


def distance(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Return the largest relative difference of any array, in the norm of its largest entry."""
    assert set(found) == set(expected)
    return max(
        float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max())
        for name in expected
    )


def moved(network: RecurrentNetwork, seed: int = 5) -> None:
    """Change all controls of a network a little, in place."""
    rng = np.random.default_rng(seed)
    for control in network.controls.values():
        control[...] += 0.1 * rng.standard_normal(control.shape)
