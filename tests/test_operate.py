"""The table of metrics in the documents is the one that processes serve."""

import re
from pathlib import Path

from app.metrics import DispatcherMetrics, Metrics
from ml_worker.metrics import Metrics as WorkerMetrics

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "operate.md"


def served(metrics):
    """Names and labels, as `/metrics` and the collectors behind it have them."""
    names = set(re.findall(r"^# TYPE (marquee_\S+) ", metrics.render().decode(), re.MULTILINE))
    labels = dict.fromkeys(names, ())
    for collector in vars(metrics).values():
        for name in names & set(metrics.registry._collector_to_names.get(collector, ())):
            labels[name] = tuple(collector._labelnames)
    return labels


def test_the_table_of_metrics_is_complete_and_true():
    rows = re.findall(r"^\| `(marquee_\w+)` \| ([\w, ]+) \|([\w, ]*)\|", PAGE.read_text(), re.MULTILINE)
    told = {name: (set(processes.split(", ")), tuple(filter(None, labels.strip().split(", ")))) for name, processes, labels in rows}
    real = {}
    for process, metrics in (("app", Metrics()), ("dispatcher", DispatcherMetrics()), ("worker", WorkerMetrics())):
        for name, labels in served(metrics).items():
            real.setdefault(name, (set(), labels))[0].add(process)
    assert told == real
    assert len(rows) == len(told)
