"""Processes that must not outlive the one that started them."""

import ctypes
import os
import signal
import sys
import time
from functools import cache
from threading import Thread

PR_SET_PDEATHSIG = 1  # of Linux's prctl
LOOKS = 1.0  # s between looks at the parent


def end_with_parent(parent: int) -> None:
    """Ask Linux to end this process by SIGTERM when the thread that started it ends.

    For a child that has yet to become its command; elsewhere than on Linux nothing happens.

    Args:
        parent: the process that started this one, which may have ended before this call.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


@cache
def watch(parent: int) -> None:
    """End this process, at the latest a second after the one that started it.

    For workers in Python that serve whichever thread of their parent has work, on any system.

    Args:
        parent: the process that started this one.
    """
    Thread(target=_outlast, args=(parent,), daemon=True).start()


def _outlast(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOKS)
    os._exit(1)
