"""Processes that must not outlive the one that started them."""

import ctypes
import signal

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask Linux to end this process with its parent, by a signal."""
    LIBC.prctl(PR_SET_PDEATHSIG, number)
