"""Recurrent layers with hand-derived adjoints: tanh, GRU, LSTM.

Formulas, names, shapes and the order of gates are PyTorch's, so that weights can be exchanged by
name. With ``s`` the logistic function and ``*`` the entrywise product, one step is

- `Tanh` (Elman 1990, doi:10.1207/s15516709cog1402_1)::

      h' = tanh(Wx x + bx + Wh h + bh)

- `GRU` (Cho et al. 2014, doi:10.3115/v1/D14-1179), with the reset gate applied after the product,
  as in cuDNN and PyTorch::

      r = s(Wxr x + bxr + Whr h + bhr)       n = tanh(Wxn x + bxn + r * (Whn h + bhn))
      z = s(Wxz x + bxz + Whz h + bhz)       h' = n + z * (h - n)

- `LSTM` (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; forget gate by Gers et
  al. 2000, doi:10.1162/089976600300015015)::

      i, f, o = s(...)    g = tanh(...)      c' = f * c + i * g     h' = o * tanh(c')

Adjoints of gates are those of the arguments of their tanh: see `solvers.recurrent.layer`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Arrays
from solvers.recurrent.layer import Layer

__all__ = ["GRU", "LSTM", "Tanh"]

Array = NDArray[Any]


class Tanh(Layer):
    """The plain recurrent layer."""

    gate_order = (0,)
    num_logistic = 0

    def _tape_parts(self) -> list[tuple[str, int]]:
        return [("slopes", 1)]

    def _gates(self, own: Arrays, steps: int) -> Array:
        return own["h"][1 : steps + 1]

    def _gates_adjoint(self, own: Arrays, steps: int) -> Array:
        return own["slopes"][:steps]

    def _step(self, own: Arrays, gate: Array, t: int) -> None:
        np.matmul(own["h"][t], self._weight_h.T, out=self._product)
        gate += self._product
        np.tanh(gate, out=gate)

    def _step_transposed(self, own: Arrays, gate: Array, adjoint: Arrays, t: int) -> None:
        after = own["h"][t + 1]
        np.multiply(after, after, out=gate)
        np.subtract(1, gate, out=gate)
        gate *= adjoint["h"]
        np.matmul(gate, self._weight_h, out=adjoint["h"])


class GRU(Layer):
    """Gated recurrent units."""

    gate_order = (0, 1, 2)
    num_logistic = 2

    def _tape_parts(self) -> list[tuple[str, int]]:
        return [("gates", 3), ("candidate", 1)]

    def _join_biases(self) -> None:
        logistic = 2 * self.hidden_size
        self._bias_x[:logistic] += self._bias_h[:logistic]

    def _step(self, own: Arrays, gate: Array, t: int) -> None:
        size, product = self.hidden_size, self._product
        before, after, candidate = own["h"][t], own["h"][t + 1], own["candidate"][t]
        logistic, n = gate[:, : 2 * size], gate[:, 2 * size :]
        r, z = gate[:, :size], gate[:, size : 2 * size]
        np.matmul(before, self._weight_h.T, out=product)
        logistic += product[:, : 2 * size]
        np.tanh(logistic, out=logistic)
        logistic *= 0.5
        logistic += 0.5
        np.add(product[:, 2 * size :], self._bias_h[2 * size :], out=candidate)
        np.multiply(r, candidate, out=after)
        n += after
        np.tanh(n, out=n)
        np.subtract(before, n, out=after)
        after *= z
        after += n

    def _step_transposed(self, own: Arrays, gate: Array, adjoint: Arrays, t: int) -> None:
        size, product, dh = self.hidden_size, self._product, adjoint["h"]
        before, candidate = own["h"][t], own["candidate"][t]
        logistic, n = gate[:, : 2 * size], gate[:, 2 * size :]
        r, z = gate[:, :size], gate[:, size : 2 * size]
        slopes, dn, passed = self._slopes, self._first, self._second
        np.subtract(1, logistic, out=slopes)
        np.multiply(slopes[:, size:], dh, out=dn)  # adjoint of n: (1 - z) dh
        slopes *= logistic
        slopes *= 2
        np.subtract(before, n, out=passed)
        slopes[:, size:] *= passed
        slopes[:, size:] *= dh
        np.multiply(dh, z, out=passed)  # adjoint of h through z * h
        np.multiply(n, n, out=n)
        np.subtract(1, n, out=n)
        n *= dn
        slopes[:, :size] *= candidate
        slopes[:, :size] *= n
        np.multiply(n, r, out=candidate)
        logistic[...] = slopes
        product[:, : 2 * size] = slopes
        product[:, 2 * size :] = candidate
        np.matmul(product, self._weight_h, out=dh)
        dh += passed

    def _clear(self, own: Arrays, gates: Array, t: int, ended: NDArray[np.bool_]) -> None:
        gates[t][ended] = 0
        own["candidate"][t][ended] = 0

    def _pull_back_hidden(self, own: Arrays, flat: Array, gradient: Arrays) -> None:
        logistic = 2 * self.hidden_size
        steps = len(flat) // self.batch
        before = own["h"][:steps].reshape(len(flat), self.hidden_size)
        candidate = own["candidate"][:steps].reshape(len(flat), self.hidden_size)
        np.matmul(flat[:, :logistic].T, before, out=self._gradient_h[:logistic])
        np.matmul(candidate.T, before, out=self._gradient_h[logistic:])
        self._unpack(self._gradient_h, gradient[self.name("weight_hh")])
        bias = np.concatenate([np.add.reduce(flat[:, :logistic]), np.add.reduce(candidate)])
        self._unpack(bias, gradient[self.name("bias_hh")])


class LSTM(Layer):
    """Long short-term memory."""

    gate_order = (0, 1, 3, 2)
    num_logistic = 3
    memory = ("h", "c")

    def _tape_parts(self) -> list[tuple[str, int]]:
        return [("gates", 4), ("squashed", 1)]

    def _step(self, own: Arrays, gate: Array, t: int) -> None:
        size = self.hidden_size
        c, after, squashed = own["c"][t], own["c"][t + 1], own["squashed"][t]
        logistic = gate[:, : 3 * size]
        i, f, o, g = (gate[:, k * size : (k + 1) * size] for k in range(4))
        np.matmul(own["h"][t], self._weight_h.T, out=self._product)
        gate += self._product
        np.tanh(gate, out=gate)
        logistic *= 0.5
        logistic += 0.5
        np.multiply(i, g, out=self._first)
        np.multiply(f, c, out=after)
        after += self._first
        np.tanh(after, out=squashed)
        np.multiply(o, squashed, out=own["h"][t + 1])

    def _step_transposed(self, own: Arrays, gate: Array, adjoint: Arrays, t: int) -> None:
        size, slopes, dh, dc = self.hidden_size, self._slopes, adjoint["h"], adjoint["c"]
        squashed, through, dg = own["squashed"][t], self._first, self._second
        logistic = gate[:, : 3 * size]
        i, f, o, g = (gate[:, k * size : (k + 1) * size] for k in range(4))
        np.subtract(1, logistic, out=slopes)
        slopes *= logistic
        slopes *= 2
        # Transpose h' = o tanh(c'): the adjoints of o and c'.
        slopes[:, 2 * size :] *= squashed
        slopes[:, 2 * size :] *= dh
        np.multiply(squashed, squashed, out=through)
        np.subtract(1, through, out=through)
        through *= o
        through *= dh
        dc += through
        # Transpose c' = f c + i g: the adjoints of i, f, g and c.
        slopes[:, :size] *= g
        slopes[:, :size] *= dc
        slopes[:, size : 2 * size] *= own["c"][t]
        slopes[:, size : 2 * size] *= dc
        np.multiply(g, g, out=dg)
        np.subtract(1, dg, out=dg)
        dg *= i
        dg *= dc
        dc *= f
        logistic[...] = slopes
        g[...] = dg
        np.matmul(gate, self._weight_h, out=dh)
