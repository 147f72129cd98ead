"""Where snapshots are kept: blocks of memory, rows of a file, and the engines that move them.

Public names are loaded when they are first used: importing this package loads neither h5py nor
mpi4py, either of which may initialise MPI. `adjoint.storage.engines` has the rest of what an engine
is made of.
"""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from adjoint.storage.blocks import Block, BlockPool
    from adjoint.storage.engines.base import Engine, RowEngine
    from adjoint.storage.engines.registry import register_engine
    from adjoint.storage.opening import open_store, rows_at
    from adjoint.storage.reader import Snapshots, open_snapshots

__all__ = [
    "Block",
    "BlockPool",
    "Engine",
    "RowEngine",
    "Snapshots",
    "open_snapshots",
    "open_store",
    "register_engine",
    "rows_at",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Block": "blocks",
        "BlockPool": "blocks",
        "Engine": "engines.base",
        "RowEngine": "engines.base",
        "Snapshots": "reader",
        "open_snapshots": "reader",
        "open_store": "opening",
        "register_engine": "engines.registry",
        "rows_at": "opening",
    },
)
