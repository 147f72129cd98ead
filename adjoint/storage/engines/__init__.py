"""Engines: how states are moved to the snapshot file and back.

`adjoint.storage.engines.base` states what an engine must do.
"""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from adjoint.storage.engines.base import Engine, Request, RowEngine
    from adjoint.storage.engines.registry import engine_names, register_engine
    from adjoint.storage.engines.row_io import RankFile
    from adjoint.storage.engines.thread import ThreadEngine
    from adjoint.storage.engines.transfer import Statistics, Transfer
    from adjoint.storage.file_format import Placement

__all__ = [
    "Engine",
    "Placement",
    "RankFile",
    "Request",
    "RowEngine",
    "Statistics",
    "ThreadEngine",
    "Transfer",
    "engine_names",
    "register_engine",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Engine": "base",
        "Placement": ".file_format",
        "RankFile": "row_io",
        "Request": "base",
        "RowEngine": "base",
        "Statistics": "transfer",
        "ThreadEngine": "thread",
        "Transfer": "transfer",
        "engine_names": "registry",
        "register_engine": "registry",
    },
)
