"""Which routes there are."""

from fastapi import APIRouter, Depends

from app.api.deps import PREFIX
from app.api.queries import refuse_unknown
from app.api.routes import (
    accounts,
    audit,
    batches,
    bundles,
    discovery,
    experiments,
    feedback,
    health,
    interactions,
    items,
    kinds,
    models,
    recommendations,
    results,
    schedules,
    tasks,
    users,
)

router = APIRouter()
router.include_router(health.router)

# Kinds and batches before tasks, and bundles before models, whose ids are matched by anything.
for resource in (
    recommendations,  # read most by far, and routes are tried in this order
    accounts,
    users,
    items,
    interactions,
    discovery,
    feedback,
    experiments,
    kinds,
    batches,
    tasks,
    results,
    schedules,
    bundles,
    models,
    audit,
):
    router.include_router(resource.router, prefix=PREFIX, dependencies=[Depends(refuse_unknown)])

IMPORT_PATH = f"{PREFIX}/models/import"
"""Whose body may be larger than others."""

TAGS = [
    {"name": "auth", "description": "Accounts: register, sign in, stay signed in."},
    {"name": "users", "description": "Those recommendations are made for."},
    {"name": "items", "description": "What can be recommended."},
    {"name": "interactions", "description": "What users do with items."},
    {"name": "recommendations", "description": "Lists with reasons."},
    {"name": "experiments", "description": "Two arms, and what they yield."},
    {"name": "tasks", "description": "Work asked for: followed, listed, cancelled, requeued."},
    {"name": "schedules", "description": "Tasks that are submitted by the clock."},
    {"name": "models", "description": "Trained recommenders."},
    {"name": "audit", "description": "What administrators did."},
    {"name": "health", "description": "For whoever runs the process."},
]
