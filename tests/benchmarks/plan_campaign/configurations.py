"""The thirty runs of the campaign: sizes and steps such that one takes 0.2 to 3 s."""

from dataclasses import dataclass

from plan_campaign.models import MODELS, Model

KILOBYTE, MEGABYTE = 1000, 1_000_000


@dataclass(frozen=True, slots=True)
class Configuration:
    """A run, and the memory that it may use."""

    kind: str
    """Name of the model."""
    state_bytes: int
    num_steps: int
    share: float | None
    """Memory, in parts of what the tapes of all steps take; None for the default."""
    file: bool = False
    ranks: int = 1
    given_name: str = ""

    @property
    def model(self) -> Model:
        return MODELS[self.kind]

    @property
    def name(self) -> str:
        if self.given_name:
            return self.given_name
        size = f"{self.state_bytes / MEGABYTE:g} MB"
        if self.state_bytes < MEGABYTE // 10:
            size = f"{self.state_bytes / KILOBYTE:.3g} kB" if self.state_bytes > 999 else "8 B"
        share = "None" if self.share is None else f"{self.share:g}"
        return f"{self.kind}, {size}, memory {share}" + (
            ", file" * self.file + f", {self.ranks} ranks" * (self.ranks > 1)
        )


def _family(kind: str, *runs: tuple[int, int, float | None, str]) -> list[Configuration]:
    return [
        Configuration(
            kind, size, steps, share, file=how == "file", ranks=2 if how == "ranks" else 1
        )
        for size, steps, share, how in runs
    ]


THIRTY = [
    *_family(
        "wave",
        (16 * KILOBYTE, 4000, 0.3, ""),
        (250 * KILOBYTE, 1000, 0.05, ""),
        (2 * MEGABYTE, 300, 0.05, ""),
        (2 * MEGABYTE, 200, 1.1, ""),
        (2 * MEGABYTE, 300, 0.05, "file"),
        (16 * MEGABYTE, 30, 0.3, "file"),
        (250 * KILOBYTE, 600, 0.3, "ranks"),
    ),
    *_family(
        "half-tape wave",
        (16 * KILOBYTE, 4000, 0.3, ""),
        (2 * MEGABYTE, 300, 0.05, ""),
        (2 * MEGABYTE, 300, 0.3, ""),
        (2 * MEGABYTE, 300, 0.6, ""),
        (16 * MEGABYTE, 30, None, ""),
        (2 * MEGABYTE, 300, 0.05, "file"),
        (250 * KILOBYTE, 600, 1.1, "ranks"),
    ),
    *_family("scalar ODE", *((8, 10_000, share, "") for share in (0.05, 0.3, 0.6, None))),
    *_family(
        "GRU",
        (8 * KILOBYTE, 2000, 0.05, ""),
        (32 * KILOBYTE, 400, 0.6, ""),
        (32 * KILOBYTE, 400, 0.05, "file"),
        (8 * KILOBYTE, 1000, 0.3, "ranks"),
    ),
    *_family(
        "LSTMCell",
        (32_768, 500, 0.05, ""),
        (32_768, 500, 0.6, ""),
        (32_768, 500, None, ""),
        (32_768, 500, 0.05, "file"),
    ),
    *_family(
        "Crank-Nicolson",
        (65_536, 60, 0.3, ""),
        (65_536, 60, 1.1, ""),
        (65_536, 60, 0.05, "file"),
        (65_536, 60, 0.3, "ranks"),
    ),
]

TINY = Configuration("scalar ODE", 8 * KILOBYTE, 200, 0.6, given_name="tiny")
"""Not of the thirty: it shows in seconds that everything can be played."""


def playable(only: list[str]) -> list[str]:
    """Return the names of the thirty; with the word "tiny", that of another, by this word."""
    return ["tiny"] if only == ["tiny"] else [c.name for c in THIRTY]


def named(name: str) -> Configuration:
    """Return the configuration of a name."""
    return TINY if name == "tiny" else next(c for c in THIRTY if c.name == name)
