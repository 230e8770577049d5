"""`make bench`: runs the case files, shows a table, writes benchmarks/results/latest.json."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.frame import Case, Result, compare

FOLDER = Path(__file__).parent
LATEST = FOLDER / "results" / "latest.json"
NOT_CASES = {
    *(
        "__init__",
        "frame",
        "run",
        "servers",
        "rig",
        "idle_worker",
        "replica",
        "celery_peer",
        "celery_job",
        "drawn_interactions",
        "product",
        "peers",
        "refreshing",
    ),
}


def find_cases() -> list[Case]:
    """The cases of all case files: modules beside this one with a list `CASES`."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NOT_CASES)
    return [case for name in names for case in importlib.import_module(f"benchmarks.{name}").CASES]


def main() -> None:
    arguments = _parse_arguments()
    cases = find_cases()
    chosen = [case for case in cases if arguments.only is None or case.name.startswith(arguments.only)]
    if not chosen:
        print(f"no case is named {arguments.only}…; there are {', '.join(case.name for case in cases)}", file=sys.stderr)
        sys.exit(2)
    results = {case.name: _measure(case, quick=arguments.quick) for case in chosen}
    # What was not measured this time keeps its figures, so that ONLY does not throw the others away.
    known = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps({**known, **{name: result.document() for name, result in results.items()}}, indent=2) + "\n")
    _show(results)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="only cases whose name begins so")
    parser.add_argument("--quick", action="store_true", help="fewer rounds on less data: a look, not a figure")
    return parser.parse_args()


def _measure(case: Case, *, quick: bool) -> Result:
    with Progress(transient=True) as progress:
        bar = progress.add_task(case.name, total=None)
        return compare(case, quick=quick, progress=lambda done, rounds: progress.update(bar, completed=done, total=rounds))


def _show(results: dict[str, Result]) -> None:
    table = Table("case", "a ÷ b", "quartiles", "a", "b", "unit", box=None, padding=(0, 2, 0, 0))
    for name, result in results.items():
        spread = f"{result.low:.2f}–{result.high:.2f}"
        table.add_row(name, f"{result.ratio:.2f}", spread, f"{result.a:,.1f}", f"{result.b:,.1f}", result.unit)
    console = Console()
    console.print(table)
    for name, result in results.items():
        console.print(f"[dim]{name}: {result.what}[/]", highlight=False)


if __name__ == "__main__":
    main()
