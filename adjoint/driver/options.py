"""What a caller asked for: the arguments of `adjoint.Functional`, as they were given."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adjoint.schedules import Schedule

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Wishes"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller asked for."""

    num_steps: int | None
    memory: int | str | None = None
    disk: int | str | None = None
    file: str | os.PathLike[str] | None = None
    schedule: Schedule | None = None
    engine: "str | EngineFactory | None" = None
    file_per_node: bool = False
    resume: bool = False
    max_lost_share: float = 0.05
