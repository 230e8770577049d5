"""`/experiments`: two arms of model version and settings, and what they yield."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field

from app.api.deps import Administrator, By, Connection, Transaction
from app.api.patterns import EXPERIMENT
from app.api.problems import documented
from app.api.shapes import Answer, Instant, Listing, Request
from app.errors import ExperimentExists, ExperimentNotFound, Forbidden, NotAuthenticated
from app.model_errors import ModelHasNoArtifact, ModelNotFound
from app.services import experiments
from core.experiments import Arm, Experiment

router = APIRouter(prefix="/experiments", tags=["experiments"])

Name = Annotated[str, Path(pattern=EXPERIMENT)]


class ExperimentCreate(Request):
    model_config = ConfigDict(json_schema_extra={"example": {"name": "more-diverse", "arm_b": {"diversity": 0.3}}})

    name: Annotated[str, Field(pattern=EXPERIMENT)]
    share_b: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, description="The share of all users that gets arm B.")
    arm_a: Arm = Arm()
    arm_b: Arm = Arm()


class ExperimentOut(Answer):
    name: str
    share_b: float
    arm_a: Arm
    arm_b: Arm
    started_at: Instant
    ended_at: Instant | None


class RateOut(Answer):
    value: float
    low: float | None = Field(description="95 % interval over users; null where there are too few of them.")
    high: float | None


class ArmOut(Answer):
    name: str
    users: int
    impressions: int
    click_through: RateOut
    conversion: RateOut


class OutcomeOut(ExperimentOut):
    arms: list[ArmOut]
    click_through_difference: RateOut = Field(description="B − A. An interval without 0 is a difference.")
    conversion_difference: RateOut


def _out(experiment: Experiment) -> ExperimentOut:
    return ExperimentOut(
        name=experiment.name,
        share_b=experiment.share_b,
        arm_a=experiment.arms[0],
        arm_b=experiment.arms[1],
        started_at=experiment.started_at,
        ended_at=experiment.ended_at,
    )


@router.post(
    "",
    status_code=201,
    summary="Begin an experiment",
    responses=documented(NotAuthenticated, Forbidden, ModelNotFound, ModelHasNoArtifact, ExperimentExists),
)
async def create_experiment(body: ExperimentCreate, by: By, connection: Transaction) -> ExperimentOut:
    """From now on each list is made by the arm of its user, which stays the same. A task computes all lists anew."""
    arms = (body.arm_a, body.arm_b)
    return _out(await experiments.start(connection, name=body.name, share_b=body.share_b, arms=arms, actor=by))


@router.get("", summary="List experiments, newest first", responses=documented(NotAuthenticated, Forbidden))
async def list_experiments(_account: Administrator, connection: Connection) -> Listing[ExperimentOut]:
    return Listing(data=[_out(found) for found in await experiments.list_experiments(connection)])


@router.get("/{name}", summary="What an experiment yields", responses=documented(NotAuthenticated, Forbidden, ExperimentNotFound))
async def read_experiment(name: Name, _account: Administrator, connection: Connection) -> OutcomeOut:
    """Rates per impression with 95 % intervals over users (delta method), and their differences."""
    outcome = await experiments.read_outcome(connection, name)
    return OutcomeOut(
        **_out(outcome.experiment).model_dump(),
        arms=[ArmOut.model_validate(arm) for arm in outcome.arms],
        click_through_difference=RateOut.model_validate(outcome.click_through_difference),
        conversion_difference=RateOut.model_validate(outcome.conversion_difference),
    )


@router.post("/{name}/end", summary="End an experiment", responses=documented(NotAuthenticated, Forbidden, ExperimentNotFound))
async def end_experiment(name: Name, by: By, connection: Transaction) -> ExperimentOut:
    """All users get the same again, as their lists are computed anew."""
    return _out(await experiments.end(connection, name, actor=by))
