"""What can end a command early, and the exit code that says so."""

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: run the same command again to go on


class InputError(Exception):
    """The input is wrong. The message is one line that names file, key and value."""


class TimeBudgetReached(Exception):
    """The command stopped at its time budget with its state saved."""


class SimulationError(Exception):
    """A simulation failed although its input was valid. The message is one line."""
