"""The census as a program, `python -m tests.faults.census`; its last line says what was lost, and its exit code whether anything was."""

# ruff: noqa: T201 (it speaks to people)

import argparse
import json
import logging
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.performance import Record, perform
from tests.faults.plays import LONG, MEDIUM
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.rigs.postgres import KillablePostgres
from tests.rigs.rabbitmq import PrivateRabbitMQ, find_server

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "census.json"
SHOWN = 10


def main() -> None:
    """Play all scenarios one after the other on two private servers."""
    parser = argparse.ArgumentParser(prog="make census", description="Kill everything and count what is left.")
    parser.add_argument("--long", action="store_true", help="at least 100,000 tasks and 1,000 kills")
    parser.add_argument("--only", default="", help="only scenarios with these words in their names")
    options = parser.parse_args()
    if find_server() is None:
        print("census: rabbitmq-server is not installed (Debian: apt install rabbitmq-server)", file=sys.stderr)
        sys.exit(2)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # tells of every refused connection in many lines
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    print(f"SEED={seed} repeats this census", flush=True)
    chosen = [scenario for scenario in SCENARIOS if options.only in scenario.name]
    folder = Path(tempfile.mkdtemp(prefix="marquee-census-"))
    folder.chmod(0o755)  # the account that runs PostgreSQL for root must be able to enter
    started = time.monotonic()
    records = _play(chosen, folder, is_long=options.long, seed=seed)
    document = _document(records, seed=seed, is_long=options.long, seconds=time.monotonic() - started)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=1))
    if _conclude(records, document, is_whole=chosen == list(SCENARIOS)):
        shutil.rmtree(folder)
    else:
        print(f"the logs are in {folder}", file=sys.stderr)
        sys.exit(1)


def _play(scenarios: list[Scenario], folder: Path, *, is_long: bool, seed: str) -> list[Record]:
    records = []
    with KillablePostgres(folder) as postgres, PrivateRabbitMQ(folder / "rabbitmq") as rabbitmq:
        for scenario in scenarios:
            record = perform(
                scenario, LONG if is_long else MEDIUM, folder=folder / scenario.slug, postgres=postgres, rabbitmq=rabbitmq, seed=seed
            )
            print(record.line(), flush=True)
            for sentence in [] if record.is_as_it_must else record.complaints()[:SHOWN]:
                print(f"    {sentence}", flush=True)
            records.append(record)
    return records


def _document(records: list[Record], *, seed: str, is_long: bool, seconds: float) -> dict[str, Any]:
    counts = sum((Counter(record.counts) for record in records), Counter[str]())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "seed": seed,
        "is_long": is_long,
        "seconds": round(seconds),
        "tasks": sum(sum(record.verdict.states.values()) for record in records),
        "kills": counts["kills"] + counts["broker outages"] + counts["database outages"],
        "frozen": counts["frozen"],
        "scenarios": [record.document() for record in records],
    }


def _conclude(records: list[Record], document: dict[str, Any], *, is_whole: bool) -> bool:
    """Say what was found, the last line being the verdict; whether everything is as it must be."""
    verdicts = [record.verdict for record in records if not record.scenario.must_fail]
    lost, twice = sum(len(verdict.lost) for verdict in verdicts), sum(len(verdict.applied_twice) for verdict in verdicts)
    illegal, other = sum(len(verdict.illegal) for verdict in verdicts), sum(len(verdict.other) for verdict in verdicts)
    control = [record.is_as_it_must for record in records if record.scenario.must_fail]
    print(f"{document['tasks']:,} tasks, {document['kills']:,} kills, {document['frozen']:,} freezes in {document['seconds']:,} s")
    if other:
        print(f"{other} other findings, told above")
    told = "control group failed as it must" if control and all(control) else "the control group PASSED" if control else "no control group"
    print(f"lost {lost}, applied twice {twice}, illegal {illegal}, {told}")
    return not (lost or twice or illegal or other) and all(control) and (bool(control) or not is_whole)


if __name__ == "__main__":
    main()
