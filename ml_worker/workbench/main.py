"""`marquee evaluate` and `marquee tune`: compare and improve models without a server or a database."""

import signal
import sys
from types import FrameType
from typing import Final

import typer

from datasets.problems import DatasetUnusable
from ml_worker.evaluation.splits import CannotSplit
from ml_worker.recommenders.base import NothingToLearn, TrainingDiverged
from ml_worker.recommenders.interactions import InvalidInteractions
from ml_worker.recommenders.linear import one_thread
from ml_worker.recommenders.registry import UnknownAlgorithm
from ml_worker.workbench.asking import AskedWrongly
from ml_worker.workbench.contenders import InvalidContender
from ml_worker.workbench.evaluate import evaluate
from ml_worker.workbench.files import UnusableFile
from ml_worker.workbench.journal import UnusableJournal
from ml_worker.workbench.tune import tune

REFUSED: Final = (
    AskedWrongly, UnusableFile, UnusableJournal, DatasetUnusable, CannotSplit, UnknownAlgorithm, InvalidContender, InvalidInteractions,
    NothingToLearn, TrainingDiverged,
)  # fmt: skip
INTERRUPTED: Final = 130

app: Final = typer.Typer(help="Compare and improve models.", add_completion=False, pretty_exceptions_enable=False)
app.command("evaluate")(evaluate)
app.command("tune")(tune)


class Interrupted(BaseException):
    """Ctrl-C. Typer would answer a `KeyboardInterrupt` itself, as if somebody had declined a prompt."""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def main() -> None:
    """Run a command; what cannot be done ends it with one sentence and code 2, Ctrl-C with code 130."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        # Threads of dense algebra wait for each other in loops: beside those of ALS, or on busy cores, that doubles the time of everything.
        with one_thread():
            app(prog_name="marquee")
    except REFUSED as refusal:
        print(f"marquee: {refusal}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"marquee: {error.filename or 'a file'} cannot be read or written: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted:
        print("marquee: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
