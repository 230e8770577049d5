"""`marquee worker`, `dispatcher`, `evaluate`, `tune` and `spark`: this process becomes one of the product's, in the same environment."""

import importlib.util
import os
import sys

import typer

from cli.refusal import Refusal


def worker() -> None:
    """Work on tasks until SIGTERM or Ctrl-C, in the foreground.

    It reads the same settings as every worker, from the environment and .env: DATABASE_URL, RABBITMQ_URL, ARTIFACTS_URL, WORKER_QUEUES, the
    numbers of slots, WORKER_PORT for health and metrics, and what else .env.example names. Start as many as you like.
    """
    _become("ml_worker.main", needs=("implicit", "pika"), group="worker")


def dispatcher() -> None:
    """Move tasks along until SIGTERM or Ctrl-C, in the foreground, for apps that run with DISPATCHER=off.

    It takes tasks from workers that died, expires what came too late and rings the broker. It reads DATABASE_URL, RABBITMQ_URL and
    DISPATCHER_PORT (health and metrics). Several copies may run; apps with DISPATCHER=on each bring their own.
    """
    _become("app.dispatch", needs=("aio_pika", "prometheus_client"), group="app")


def evaluate(context: typer.Context) -> None:
    """Compare models on files of events or on a data set, without a server or a database; --help lists the options."""
    _become("ml_worker.workbench.main", "evaluate", *context.args, needs=("implicit", "scipy"), group="worker")


def tune(context: typer.Context) -> None:
    """Look for better parameters of the algorithms within a time; --help lists the options."""
    _become("ml_worker.workbench.main", "tune", *context.args, needs=("implicit", "scipy"), group="worker")


def spark(context: typer.Context) -> None:
    """Train `als` on Apache Spark and register it, for events beyond one machine; --help lists the options."""
    _become("ml_worker.spark.main", *context.args, needs=("implicit", "pyspark"), group="spark")


def _become(module: str, *arguments: str, needs: tuple[str, ...], group: str) -> None:
    if missing := [name for name in needs if importlib.util.find_spec(name) is None]:
        raise Refusal(f"the dependencies of the group {group} are not installed ({', '.join(missing)}): uv sync --group {group}")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 (our own module)
