"""What this process has measured lately, so that the next run need not measure it again.

Never on disk: figures of another day mislead, and nobody would discard them.
"""

import time
from collections.abc import Hashable
from typing import Any

from adjoint.measurement import constants
from adjoint.parallel import Communicator

__all__ = ["remember", "remembered"]

_found: dict[Hashable, tuple[float, Any]] = {}
"""What was measured, and when, by `time.monotonic`."""


def remembered(key: Hashable, comm: Communicator) -> Any:
    """Return what `remember` was given for a key; None unless all ranks have it. Collective."""
    measured_at, found = _found.get(key, (-constants.REMEMBERED_SECONDS, None))
    is_fresh = time.monotonic() - measured_at < constants.REMEMBERED_SECONDS
    return found if all(comm.gather(is_fresh and found is not None)) else None


def remember(key: Hashable, found: object) -> None:
    """Keep what was measured, on all ranks."""
    _found[key] = time.monotonic(), found
