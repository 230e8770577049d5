"""`/models/{id}/bundle` and `/models/import`: models carried from one Marquee to another as one file."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import Field
from starlette.background import BackgroundTask

from app.api.deps import PREFIX, Administrator, Bell, By, Process
from app.api.problems import documented
from app.api.shapes import Answer
from app.errors import BodyTooLarge, Forbidden, NotAuthenticated
from app.model_errors import BundleNotTaken, ModelHasNoArtifact, ModelNotFound
from app.services import bundles, models
from core.bundles import MEDIA_TYPE
from core.database import async_transaction
from core.messages import ImportModelPayload

router = APIRouter(prefix="/models", tags=["models"])

_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
}


class ImportOut(Answer):
    task_id: str = Field(description="The task that loads the model once and registers it; follow it at `Location`.")
    algorithm: str
    artifact: str = Field(description="Where its files are in the artifact store.")


@router.get(
    "/{version_id}/bundle",
    summary="Download a model version",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "A bundle for `/models/import`."},
        **documented(NotAuthenticated, Forbidden, ModelNotFound, ModelHasNoArtifact),
    },
)
async def download_bundle(
    version_id: Annotated[int, InPath(ge=1, lt=2**63, description="The id of a model version.")], _account: Administrator, process: Process
) -> Response:
    """A zip of arrays and JSON with the checksum of each; no code. The same version is the same bytes every time."""
    async with process.pool.connection() as connection:
        version = await models.get_model(connection, version_id)
    path = await run_in_threadpool(bundles.write, process.artifacts, version)
    name = f"marquee-{version['algorithm']}-{version_id}.zip"
    return FileResponse(path, media_type=MEDIA_TYPE, filename=name, background=BackgroundTask(path.unlink))


@router.post(
    "/import",
    status_code=202,
    summary="Upload a model",
    openapi_extra=_BODY,
    responses=documented(NotAuthenticated, Forbidden, BodyTooLarge, BundleNotTaken),
)
async def import_bundle(request: Request, by: By, process: Process, bell: Bell, response: Response) -> ImportOut:
    """The body is a bundle. Its sizes and checksums are verified now; a worker then loads it once and registers it.

    It goes live if nothing is, otherwise it becomes a candidate: there is no data it has certainly not seen, so the gate cannot judge it.
    """
    with tempfile.NamedTemporaryFile(prefix="marquee-upload-") as file:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
        file.flush()
        taken = await run_in_threadpool(bundles.take, process.artifacts, Path(file.name), largest_bytes=process.settings.model_bundle_bytes)
    async with async_transaction(process.pool) as connection:  # not before: an upload may take its time
        task_id = await bundles.submit(connection, taken, actor=by, is_rung=bell.is_on)
    bell.ring(ImportModelPayload.queue, task_id)
    response.headers["Location"] = f"{PREFIX}/tasks/{task_id}"
    return ImportOut(task_id=str(task_id), algorithm=taken.manifest.algorithm, artifact=taken.artifact)
