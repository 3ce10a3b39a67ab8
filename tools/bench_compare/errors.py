"""What can go wrong, and what the program's exit status says of it."""

EXIT_SLOWER = 1
EXIT_USAGE = 2
EXIT_BROKEN = 3
EXIT_REFUSED = 4


class CompareError(Exception):
    """One sentence for a person, and the exit status that goes with it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UsageError(CompareError):
    """Asked for something that cannot be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_USAGE)


class BrokenError(CompareError):
    """A build, a run or its output is broken: nothing can be said."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_BROKEN)


class RefusedError(CompareError):
    """The machine is in no state to judge."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_REFUSED)
