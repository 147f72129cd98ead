"""What second-order products take, in gradients of the same run in the same memory.

    python tests/benchmarks/second_order.py [states]

Burgers' equation by hand, 2,000 cells and 300 steps, with memory for so many states (default 24).
Prints the time of a gradient and how often its steps are computed; one Hessian and one Gauss-Newton
product, and a Hessian product by complex step; and 4 and 16 directions in fixed blocks and in that
which is chosen. All but the first are ratios to the gradient, the least of rounds that take turns.
"""

import sys
import time

import numpy as np

import adjoint

CELLS, STEPS, ROUNDS = 2000, 300, 3
DT, DX, NU = 2e-4, 1 / CELLS, 2e-4
A, B = DT / DX / 4, NU * DT / DX**2
MIN_STATES = 3
"""Fixed blocks that leave memory for fewer states are left out."""


def ahead(u):
    return np.roll(u, -1, axis=-1)


def behind(u):
    return np.roll(u, 1, axis=-1)


class Analytic(adjoint.FunctionStepper):
    """u' = -u u_x + nu u_xx + f; cost |u - 1|^2 / 2 at the end; controls f and the first state."""

    def __init__(self):
        x = np.arange(CELLS) * DX
        controls = {"f": np.cos(2 * np.pi * x), "first": 1 + np.sin(2 * np.pi * x) / 2}
        super().__init__({"u": np.zeros(CELLS)}, controls)

    def initial_state(self, out):
        out["u"][:] = self.controls["first"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["first"] += adjoint["u"]

    def step(self, step, state, out):
        u = state["u"]
        east, west = ahead(u), behind(u)
        out["u"][:] = u - A * (east**2 - west**2) + B * (east - 2 * u + west)
        out["u"] += DT * self.controls["f"]

    def step_vjp(self, step, state, adjoint, gradient):
        w = adjoint["u"]
        gradient["f"] += DT * w
        east, west = ahead(w), behind(w)
        adjoint["u"][:] = w - 2 * A * state["u"] * (west - east) + B * (east - 2 * w + west)

    def terminal_cost(self, state):
        return 0.5 * np.sum((state["u"] - 1) ** 2)

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"] - 1


class ByHand(Analytic):
    """With its second derivatives."""

    def initial_state_jvp(self, control_tangent, out):
        out["u"][:] = control_tangent["first"]

    def step_jvp(self, step, state, tangent, control_tangent, out):
        u, v = state["u"], tangent["u"]
        east, west = ahead(v), behind(v)
        out["u"][:] = v - 2 * A * (ahead(u) * east - behind(u) * west) + B * (east - 2 * v + west)
        out["u"] += DT * control_tangent["f"]

    def step_curvature(self, step, state, adjoint, tangent, control_tangent, out, gradient):
        w = adjoint["u"]
        out["u"] -= 2 * A * tangent["u"] * (behind(w) - ahead(w))

    def terminal_cost_curvature(self, state, tangent, control_tangent, out, gradient):
        out["u"] += tangent["u"]


def seconds(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def times(works, rounds=ROUNDS):
    """Return the least time of each, after one evaluation to plan."""
    for work in works.values():
        work()
    found = [{name: seconds(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: min(each[name] for each in found) for name in works}


def directions(count):
    rng = np.random.default_rng(count)
    return {name: rng.standard_normal((count, CELLS)) for name in ("f", "first")}


def main():
    states = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    memory = states * CELLS * 8
    with (
        adjoint.Functional(ByHand(), STEPS, memory=memory) as by_hand,
        adjoint.Functional(Analytic(), STEPS, memory=memory) as analytic,
    ):
        one = directions(1)
        works = {
            "gradient": by_hand.value_and_gradient,
            "Hessian": lambda: by_hand.second_order(one),
            "Gauss-Newton": lambda: by_hand.second_order(one, gauss_newton=True),
            "by complex step": lambda: analytic.second_order(one),
        }
        found = times(works)
        gradient = found.pop("gradient")
        by_hand.value_and_gradient()
        factor = by_hand.report.recomputation_factor
        print(f"{states} states: a gradient {gradient * 1e3:.0f} ms, steps x {factor:.2f}")
        print("  " + ", ".join(f"{k} {t / gradient:.2f}" for k, t in found.items()), flush=True)
        for count in (4, 16):
            given = directions(count)
            chosen = by_hand.second_order(given).block
            most = states // MIN_STATES - 1
            blocks = {f"blocks of {b}": b for b in (1, 4, count) if b <= most}
            works = {
                name: lambda b=b, d=given: by_hand.second_order(d, block=b)
                for name, b in blocks.items()
            }
            works[f"chosen, {chosen}"] = lambda d=given: by_hand.second_order(d)
            each = ", ".join(f"{k}: {t / gradient:.1f}" for k, t in times(works, 1).items())
            print(f"  {count} directions: {each}", flush=True)


if __name__ == "__main__":
    main()
