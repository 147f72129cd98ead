"""Engines: how states are moved to the snapshot file and back.

`adjoint.storage.engines.base` states what an engine must do, and how to write one.
"""

import importlib
from typing import TYPE_CHECKING

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

_EXPORTS = {
    "Engine": "engines.base",
    "Placement": "file_format",
    "RankFile": "engines.row_io",
    "Request": "engines.base",
    "RowEngine": "engines.base",
    "Statistics": "engines.transfer",
    "ThreadEngine": "engines.thread",
    "Transfer": "engines.transfer",
    "engine_names": "engines.registry",
    "register_engine": "engines.registry",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"adjoint.storage.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
