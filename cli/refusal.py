"""The one error the command line ends with: a sentence for people and an exit code."""


class Refusal(Exception):
    """Ends a command: `str()` says what is wrong and what to do; code 2 means it was asked wrongly, 1 that it did not work."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
