"""Experiments: begun and ended under audit, and what their arms yield."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from app import rates
from app.actor import Actor
from app.errors import ExperimentExists, ExperimentNotFound
from app.model_errors import ModelHasNoArtifact, ModelNotFound
from app.rates import Rate, Sums
from core import experiments, feedback, model_versions, tasks
from core.audit import Action
from core.experiments import ARMS, Arm, Experiment
from core.feedback import ArmSums
from core.messages import RefreshListsPayload


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What the users of an arm did; rates are per impression."""

    name: str
    users: int
    impressions: int
    click_through: Rate
    conversion: Rate


@dataclass(frozen=True, slots=True)
class Outcome:
    """An experiment with its arms, and how much more B yields than A."""

    experiment: Experiment
    arms: list[ArmResult]
    click_through_difference: Rate
    conversion_difference: Rate


async def start(connection: AsyncConnection[Any], *, name: str, share_b: float, arms: tuple[Arm, Arm], actor: Actor) -> Experiment:
    """Begin an experiment. Raises `ExperimentExists`, `ModelNotFound`, `ModelHasNoArtifact`."""
    await model_versions.lock().run_async(connection)  # or a training might let go of the arrays at this moment
    for version in (arm.model_version for arm in arms if arm.model_version is not None):
        found = await model_versions.find(version).run_async(connection)
        if found is None:
            raise ModelNotFound(version)
        if found["artifact"] is None:
            raise ModelHasNoArtifact(f"The arrays of version {version} are no longer kept: its lists cannot be made.")
    begun = await experiments.start(name=name, share_b=share_b, arms=arms).run_async(connection)
    if begun is None:
        running = await experiments.running().run_async(connection)
        raise ExperimentExists(name, running=running.name if running else None)
    await _follow(connection, "experiment.start", begun, actor)
    return begun


async def end(connection: AsyncConnection[Any], name: str, *, actor: Actor) -> Experiment:
    """End an experiment. Raises `ExperimentNotFound`."""
    ended = await experiments.end(name).run_async(connection)
    if ended is None:
        raise ExperimentNotFound(name)
    await _follow(connection, "experiment.end", ended, actor)
    return ended


async def list_experiments(connection: AsyncConnection[Any]) -> list[Experiment]:
    """All experiments, the newest first."""
    return await experiments.page().run_async(connection)


async def read_outcome(connection: AsyncConnection[Any], name: str) -> Outcome:
    """An experiment with what its arms yield. Raises `ExperimentNotFound`."""
    found = await experiments.page(name=name).run_async(connection)
    if not found:
        raise ExperimentNotFound(name)
    sums = await feedback.arms(found[0].id).run_async(connection)
    a, b = (_result(label, sums.get(number)) for number, label in enumerate(ARMS))
    return Outcome(found[0], [a, b], rates.difference(b.click_through, a.click_through), rates.difference(b.conversion, a.conversion))


def _result(name: str, sums: ArmSums | None) -> ArmResult:
    if sums is None:
        return ArmResult(name, 0, 0, Rate(0.0, None, None), Rate(0.0, None, None))
    n, nn = sums.impressions, sums.impressions_squared
    clicks = Sums(sums.users, sums.clicks, n, sums.clicks_squared, nn, sums.clicks_impressions)
    conversions = Sums(sums.users, sums.conversions, n, sums.conversions_squared, nn, sums.conversions_impressions)
    return ArmResult(name, sums.users, int(n), rates.rate(clicks), rates.rate(conversions))


async def _follow(connection: AsyncConnection[Any], action: Action, experiment: Experiment, actor: Actor) -> None:
    await actor.did(action, f"experiment:{experiment.name}", {"share_b": experiment.share_b}).run_async(connection)
    # All users change arms: their lists are made anew. Where that is under way already, what it has done before stays until the next.
    await tasks.submit(RefreshListsPayload(), owner=actor.account_id, correlation_id=actor.correlation_id).run_async(connection)
