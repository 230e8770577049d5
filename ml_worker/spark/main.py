"""`marquee spark`: trains `als` on Apache Spark, has the gate judge it and registers it, as the task `train` does."""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import psycopg
import typer
from psycopg_pool import PoolTimeout
from py4j.protocol import Py4JError
from pydantic import ValidationError
from pyspark.errors import PySparkException

from core import model_versions, tasks
from core.database import Pool, make_pool, transaction
from core.messages import RefreshListsPayload
from core.places import ArtifactsUnavailable
from core.settings import complaints
from ml_worker import dataset, training
from ml_worker.recipes import InvalidParameters, recipe
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import NothingToLearn, TrainingDiverged
from ml_worker.recommenders.interactions import Interactions, InvalidInteractions
from ml_worker.registry import TrainedModel, open_registry, window
from ml_worker.settings import WorkerSettings
from ml_worker.spark.als import SparkAls, open_session, read_events, write_events
from ml_worker.training import Live, Standard

OWNER: Final = "spark"
REFUSED: Final = (ArtifactsUnavailable, InvalidInteractions, InvalidParameters, NothingToLearn, TrainingDiverged)


def train(
    events: Annotated[
        str | None,
        typer.Argument(help="Parquet or CSV that Spark reads: user, item, weight, time; without it, the instance's interactions."),
    ] = None,
    master: Annotated[str, typer.Option(help="Where Spark runs.")] = "local[*]",
    parameters: Annotated[str, typer.Option(help="JSON: hyperparameters of `als`.")] = "{}",
) -> None:
    """Train `als` on Apache Spark. The settings are those of a worker, from the environment and .env."""
    settings = WorkerSettings()
    model = recipe(Als.name, _parsed(parameters))
    assert isinstance(model, Als)
    with make_pool(settings.database_url.get_secret_value(), max_size=1) as pool:
        versions, trained = run(pool, settings, model.config, master=master, events=events)
    for version, made in zip(versions, trained, strict=True):
        print(f"version {version} ({made.recommender.name}, {made.training_seconds:.0f} s): {made.gate['verdict']}, {made.gate['reason']}")


def _parsed(parameters: str) -> dict[str, Any]:
    try:
        parsed = json.loads(parameters)
    except ValueError as error:
        raise InvalidParameters(f"parameters: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidParameters("parameters: a JSON object is expected")
    return parsed


def run(
    pool: Pool, settings: WorkerSettings, config: Als.Config, *, master: str, events: str | None
) -> tuple[list[int], list[TrainedModel]]:
    """Train on the events at this address, or on the instance's interactions, and register what came of it.

    The instance's interactions are read in any case: they give the catalogue and the slice the gate judges by.
    """
    with transaction(pool) as connection:
        interactions = dataset.read_interactions(connection, settings.interaction_weights)
        arrivals = dataset.read_arrivals(connection)
        live = model_versions.find_live().run(connection)
    if not len(interactions):
        raise NothingToLearn("the instance has no interactions, so there is nothing to judge a model by")
    known = window(interactions, last_id=arrivals.last_id)
    if events is not None:
        # It knows more than what is here: a partial training, which goes on from a known interaction, would not fit it.
        known = {name: value for name, value in known.items() if name != "last_id"} | {"events": events}
    with tempfile.TemporaryDirectory(prefix="marquee-spark-") as folder:
        trained = training.train_full(
            [_model(config, master, events or _written(interactions, Path(folder)))],
            interactions,
            live=Live.of(live) if live else None,
            # What a file holds is held out by its time: it does not say which events are the last of each user here.
            standard=replace(Standard.of(settings), only_by_time=True),
            window=known,
            progress=_tell,
        )
    return _publish(pool, settings, trained, live["id"] if live else None), trained


def _model(config: Als.Config, master: str, events: str) -> Als:
    return SparkAls(config, events=read_events(open_session(master), events))


def _written(interactions: Interactions, folder: Path) -> str:
    path = folder / "events.csv"
    write_events(interactions, path)
    return str(path)


def _tell(done: float, note: str | None = None) -> None:
    print(f"{done:4.0%} {note or ''}", file=sys.stderr)


def _publish(pool: Pool, settings: WorkerSettings, trained: list[TrainedModel], replaced_id: int | None) -> list[int]:
    registry = open_registry(settings)
    with transaction(pool) as connection:
        versions, effects = registry.publish(connection, trained, task_id=None, replaced_id=replaced_id, keep=settings.models_kept)
        for effect in effects:
            effect.run(connection)
        if not all(model.is_refused for model in trained):
            tasks.submit(RefreshListsPayload(), owner=OWNER).run(connection)
    return versions


def _told(error: Exception) -> str:
    """In one line; Java adds its whole stack."""
    told = [line.strip(" :") for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return " ".join(told[:2]) if isinstance(error, Py4JError) else told[0]


def main() -> None:
    """Run the command; what cannot be done ends it with one sentence and code 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(train)
    try:
        app(prog_name="marquee spark")
    except ValidationError as error:
        for sentence in complaints(error):
            print(f"spark: {sentence}", file=sys.stderr)
    except (*REFUSED, psycopg.OperationalError, PoolTimeout, PySparkException, Py4JError) as error:
        print(f"spark: {_told(error)}", file=sys.stderr)
    else:
        return
    sys.exit(2)


if __name__ == "__main__":
    main()
