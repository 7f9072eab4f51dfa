"""Where a worker process comes in: it watches its driver before it imports anything that takes time.

Nothing heavy may be imported by this file, nor pickled into the process's arguments.
"""

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection

from mlrc.harness.machine.allocator import allow_lending, avoid_fragments


def enter(connection: Connection) -> None:
    """Work for the driver until it is gone; what the process runs."""
    threading.Thread(target=die_with_parent, daemon=True).start()
    avoid_fragments()
    from mlrc.harness.engine.serving import serve  # noqa: PLC0415 torch takes seconds, in which the driver may die

    serve(connection)


def lend(address: str, device: str) -> None:
    """Lend memory of a device to the workers there until the driver is gone; what the process runs."""
    threading.Thread(target=die_with_parent, daemon=True).start()
    allow_lending()
    from mlrc.harness.engine.lending import lend_on  # noqa: PLC0415 as above

    lend_on(address, device)


def die_with_parent() -> None:
    """Wait until the driver is gone, and end this process; for a thread of its own."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
