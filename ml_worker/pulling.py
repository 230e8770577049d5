"""The model a worker is told to begin with (MODEL_FILE_ID): a bundle pulled from Google Drive, once for all workers together."""

import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg_pool import PoolTimeout

from core import audit, bundles, model_versions, tasks
from core.bundles import BundleRefused
from core.database import Pool, transaction
from core.log import get_logger
from core.messages import RefreshListsPayload
from core.places import ArtifactsUnavailable
from datasets import drive
from datasets.problems import DownloadFailed
from ml_worker import importing
from ml_worker.registry import Registry
from ml_worker.settings import WorkerSettings

RETRY_SECONDS: Final = 5.0
OWNER: Final = "worker"
_LOCK_KEY: Final = 0x4472697665  # "Drive"
_DATABASE_ERRORS: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)

log = get_logger(__name__)


def pull_at_start(settings: WorkerSettings, pool: Pool, registry: Registry, stopped: threading.Event) -> None:
    """Register the model of MODEL_FILE_ID unless that was done before; a failure is one line in the log. On a thread of its own.

    While the database does not answer it is tried again.
    """
    while not stopped.is_set():
        try:
            with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as alone:
                # Held as long as this connection: other workers wait here, and find the version when their turn comes.
                alone.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
                _pull(settings, pool, registry, alone)
            return
        except (DownloadFailed, BundleRefused, ArtifactsUnavailable) as error:
            log.error("model not pulled", file_id=settings.model_file_id, reason=str(error))
            return
        except _DATABASE_ERRORS as error:
            log.warning("model not pulled yet", reason=str(error).strip(), retry_in_seconds=RETRY_SECONDS)
            stopped.wait(RETRY_SECONDS)
        except Exception as error:  # whatever a stranger's server made of it: the worker works on
            log.error("model not pulled", file_id=settings.model_file_id, reason=repr(error))
            return


def _pull(settings: WorkerSettings, pool: Pool, registry: Registry, alone: Connection[Any]) -> None:
    assert settings.model_file_id is not None
    source = f"drive:{settings.model_file_id}"
    if known := model_versions.find_from(source).run(alone):
        log.info("model was pulled before", file_id=settings.model_file_id, version=known["id"], status=known["status"])
        return
    largest = settings.model_bundle_bytes
    with tempfile.TemporaryDirectory(prefix="marquee-model-") as folder:
        path = Path(folder) / "bundle.zip"
        drive.download(
            settings.model_file_id, path, largest_bytes=largest, on_progress=lambda _progress: None, address=settings.drive_address
        )
        _, files = bundles.read(path, largest_bytes=largest)
    artifact = registry.store.put(files).key
    with transaction(pool) as connection:
        is_first = model_versions.find_live().run(connection) is None
        made = importing.register(connection, registry, artifact, source=source)
        for effect in made.effects:
            effect.run(connection)
        audit.record(actor=OWNER, action="model.import", subject=f"model:{made.version_id}", details={"source": source}).run(connection)
        if is_first:
            tasks.submit(RefreshListsPayload(), owner=OWNER).run(connection)
    log.info("model pulled", file_id=settings.model_file_id, version=made.version_id, algorithm=made.algorithm, is_live=is_first)
