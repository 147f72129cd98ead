"""Predict the next character, by back-propagation through 10,000 characters, on two ranks.

    mpirun -n 2 python examples/character_model.py [--lengths 100 1000 10000] [--memory "64 MiB"]

An LSTM learns the Python language reference, which is part of every Python installation, character
by character. Training begins with short passages, for which many updates are cheap, and continues
with longer ones. Back-propagation goes through the whole passage, without truncation: at 10,000
characters autograd would keep gigabytes for it.

Module, optimiser and training loop are PyTorch's. Every rank has its own passages, and
`TorchSequence.backward` adds the gradient summed over ranks to ``.grad``. So the weights stay
bitwise equal on all ranks, which is checked at the end. (Open MPI binds every rank to a core, where
several threads would slow each other down: the default is one.)
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
# PyTorch is not in the environment of the type checker.

import argparse
import math
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from character_picture import Stage, draw
from character_text import Text
from mpi4py import MPI
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from adjoint.units import format_bytes
from solvers.torch import TorchSequence

PIECE = 500
"""Characters per call of the LSTM during evaluation."""


class Learned(NamedTuple):
    """The result of updates with passages of one length."""

    length: int
    bits: list[float]
    """Bits per character, before every update."""
    graph_bytes: int
    used_bytes: int


class ReadOut(nn.Module):
    """The loss of the LSTM's outputs: nats of the next character, one per row."""

    def __init__(self, hidden: int, text: Text) -> None:
        super().__init__()
        self.layer = nn.Linear(hidden, text.size)
        self.share = 1.0
        """Weight of a character: the inverse of their number makes the loss a mean."""

    def forward(self, outputs: Any, targets: Any) -> Any:
        """Return the losses of some rows."""
        return self.share * cross_entropy(self.layer(outputs), targets, reduction="none")


class CharacterModel:
    """An LSTM with its read-out layer, the same on all ranks."""

    def __init__(self, text: Text, hidden: int, comm: MPI.Intracomm) -> None:
        torch.manual_seed(0)
        self.text, self.comm = text, comm
        self.lstm = nn.LSTM(text.size, hidden)
        self.read_out = ReadOut(hidden, text)
        self.parameters = [*self.lstm.parameters(), *self.read_out.parameters()]

    def zeros(self, count: int) -> tuple[Any, Any]:
        """Return the state before the first character."""
        zeros = torch.zeros(1, count, self.lstm.hidden_size)
        return zeros, zeros.clone()

    def learn(self, length: int, rate: float, given: argparse.Namespace, bar: Any) -> Learned:
        """Train with passages of one length. Collective."""
        generator = np.random.default_rng([given.seed, length, self.comm.rank])
        optimizer = torch.optim.Adam(self.parameters, lr=rate)
        self.read_out.share = 1 / (length * given.batch * self.comm.size)
        bits: list[float] = []
        inputs, targets = self.text.passages(length, given.batch, generator)
        with TorchSequence(
            self.lstm,
            inputs,
            targets,
            loss=self.read_out,
            state=self.zeros(given.batch),
            num_steps=length,
            leaf_steps=given.leaf,
            memory=given.memory,
            comm=self.comm,
        ) as sequence:
            for _ in range(updates_of(length, given)):
                inputs, targets = self.text.passages(length, given.batch, generator)
                optimizer.zero_grad()
                bits.append(sequence.backward(inputs=inputs, targets=targets) / math.log(2))
                nn.utils.clip_grad_norm_(self.parameters, 1.0)
                optimizer.step()
                bar.update(length)
                bar.set_postfix_str(f"{length:,} characters, {bits[-1]:.3f} bits each")
            report = sequence.report
            assert report is not None
            graph = sequence.stepper.tape_bytes(length)
        return Learned(length, bits, graph, report.memory_bytes)

    def judge(self, count: int) -> tuple[NDArray[np.float64], float]:
        """Return bits per held-out character, by position in a passage, and the accuracy.

        The held-out text is divided into `count` passages per rank. Collective.
        """
        passages = np.array_split(self.text.held_out, count * self.comm.size)
        own = passages[self.comm.rank * count : (self.comm.rank + 1) * count]
        length = len(passages[-1])
        codes = np.stack([passage[:length] for passage in own], axis=1)
        bits, correct = self._read(codes)
        total = count * self.comm.size
        bits, correct = self.comm.allreduce(bits) / total, self.comm.allreduce(correct) / total
        return bits, float(correct.mean())

    def _read(self, codes: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return bits and number of correct predictions, for every character after the first."""
        inputs, targets = self.text.one_hot(codes[:-1]), torch.from_numpy(codes[1:])
        state = self.zeros(codes.shape[1])
        bits: list[Any] = []
        correct: list[Any] = []
        with torch.no_grad():
            for start in range(0, len(targets), PIECE):
                stop = min(start + PIECE, len(targets))
                outputs, state = self.lstm(torch.from_numpy(inputs(start, stop)), state)
                scores, expected = self.read_out.layer(outputs), targets[start:stop]
                nats = cross_entropy(scores.flatten(0, 1), expected.flatten(), reduction="none")
                bits.append(nats.reshape(expected.shape).double().sum(1) / math.log(2))
                correct.append((scores.argmax(2) == expected).double().sum(1))
        return torch.cat(bits).numpy(), torch.cat(correct).numpy()

    def write(self, length: int, temperature: float = 0.6) -> str:
        """Return `length` characters generated by the model, at the start of a paragraph."""
        codes = [self.text.alphabet.index(character) for character in "\n\nThe "]
        state: Any = None
        prompt = len(codes)
        with torch.no_grad():
            rows = self.text.one_hot(np.array(codes))(0, len(codes))
            for _ in range(length):
                outputs, state = self.lstm(torch.from_numpy(rows), state)
                chances = torch.softmax(self.read_out.layer(outputs[-1]) / temperature, 0)
                codes.append(int(torch.multinomial(chances, 1)))
                rows = self.text.one_hot(np.array(codes[-1:]))(0, 1)
        return self.text.decode(codes[prompt - len("The ") :])


def updates_of(length: int, given: argparse.Namespace) -> int:
    """Return the number of updates with passages of a length."""
    return max(given.min_updates, given.characters // length)


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument(
        "--characters", type=int, default=80_000, help="per length and sequence of the batch"
    )
    parser.add_argument("--min-updates", type=int, default=8, help="per length")
    parser.add_argument("--batch", type=int, default=16, help="passages per update and rank")
    parser.add_argument("--hidden", type=int, default=256, help="size of the LSTM")
    parser.add_argument("--leaf", type=int, default=64, help="steps whose graph is kept at once")
    parser.add_argument("--memory", default="64 MiB", help="for back-propagation, per rank")
    parser.add_argument("--rate", type=float, default=5e-3, help="of Adam; halved for each length")
    parser.add_argument("--judged", type=int, default=8, help="held-out passages per rank")
    parser.add_argument("--sample", type=int, default=300, help="characters to write")
    parser.add_argument("--threads", type=int, default=1, help="per rank")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="character_model.png", help="file of the picture")
    return parser.parse_args()


def main() -> None:
    """Train, evaluate, and draw the results."""
    given, comm = arguments(), MPI.COMM_WORLD
    torch.set_num_threads(given.threads)
    began = time.perf_counter()
    text = Text.load()
    model = CharacterModel(text, given.hidden, comm)
    say = tqdm.write if comm.rank == 0 else _silent
    say(f"{len(text.learned):,} characters, {text.size} of them distinct, {comm.size} ranks")
    total = sum(length * updates_of(length, given) for length in given.lengths)
    stages: list[Stage] = []
    by_position: dict[int, NDArray[np.float64]] = {}
    with tqdm(total=total, unit="step", unit_scale=True, disable=comm.rank > 0) as bar:
        for number, length in enumerate(given.lengths):
            learned = model.learn(length, given.rate / 2**number, given, bar)
            bits, accuracy = model.judge(given.judged)
            by_position[length] = bits
            _, curve, graph, used = learned
            stages.append(Stage(length, curve, float(bits.mean()), graph, used))
            print_results(stages[-1], accuracy, say)
            if comm.rank == 0:
                say(f"  it writes: {model.write(given.sample)!r}")
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters)
    same = all(other == weights for other in comm.allgather(weights))
    say(f"weights            {'the same' if same else 'NOT the same'} on all ranks")
    if comm.rank == 0:
        draw(stages, by_position, given.output)
    say(f"{given.output} written; {time.perf_counter() - began:.0f} s in all")


def print_results(stage: Stage, accuracy: float, say: Any) -> None:
    """Print the results with passages of one length, and the memory used."""
    first, last = stage.bits[0], stage.bits[-1]
    say(f"passages of {stage.length:,} characters, {len(stage.bits)} updates")
    say(f"  bits/character   {first:.3f} -> {last:.3f}; held-out text {stage.held_out:.3f}")
    say(f"  accuracy         {accuracy:.1%} of the held-out characters")
    used, graph = format_bytes(stage.used_bytes), format_bytes(stage.graph_bytes)
    say(f"  memory           {used} per rank; autograd would keep {graph}")


def _silent(*_: object) -> None:
    """Print nothing: only rank 0 prints."""


if __name__ == "__main__":
    main()
