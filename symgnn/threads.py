"""How many threads the compiled loops take."""

import numba


def use_threads(count: int) -> None:
    """Let compiled loops take so many threads, at most what the machine offers; 0 for all."""
    offered = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(count, offered) if count else offered)
