"""The end of a daemon comes in time, also where something that it waits for does not answer.

Knows nothing of what is waited for: whatever a process that is killed leaves behind is safe by design.
"""

from __future__ import annotations

import logging
import os
import threading

log = logging.getLogger(__name__)

# Who stops a service expects it gone within 5 s.
END_SECONDS = 4.0


def in_time() -> None:
    """Have this process end END_SECONDS from now, if it still runs then: with 0, as it was told to."""
    timer = threading.Timer(END_SECONDS, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    log.warning("not everything let go within %g s; leaving it", END_SECONDS)
    logging.shutdown()
    os._exit(0)
