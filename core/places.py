"""Where artifacts are kept: a directory or a bucket of any S3-compatible store, told apart by their address."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, S3Store
from pydantic import SecretStr

if TYPE_CHECKING:
    from obstore.store import S3Config

S3: Final = "s3://"
REQUEST_SECONDS: Final = 60
CONNECT_SECONDS: Final = 5
RETRIES: Final = 4
RETRY_SECONDS: Final = 30
PROBE: Final = ".marquee"
"""An object that `check` writes into a bucket, to learn at the start what would otherwise fail after a training."""

_CODE = re.compile(r"<Code>(\w+)</Code>")
_REASONS: Final = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidAccessKeyId": "the access key is unknown (AWS_ACCESS_KEY_ID)",
    "SignatureDoesNotMatch": "the secret key is wrong (AWS_SECRET_ACCESS_KEY)",
    "AccessDenied": "these credentials may not do that",
}


class ArtifactsUnavailable(Exception):
    """The place of the artifacts does not answer, or refuses; `str()` says which place and why, without any secret."""


@dataclass(frozen=True, slots=True)
class S3Access:
    """How a bucket is reached. What is None here is found as for every AWS client: by environment, web identity or instance role."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None

    def config(self) -> "S3Config":
        """What is given, as obstore reads it."""
        config: S3Config = {}
        if self.endpoint_url:
            config["endpoint"] = self.endpoint_url
        if self.region:
            config["region"] = self.region
        if self.access_key_id:
            config["access_key_id"] = self.access_key_id.get_secret_value()
        if self.secret_access_key:
            config["secret_access_key"] = self.secret_access_key.get_secret_value()
        return config


@dataclass(frozen=True, slots=True)
class Place:
    """An opened place. `directory` is None for a bucket; `address` is for people."""

    store: ObjectStore
    address: str
    directory: Path | None

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Around calls of obstore: raises `FileNotFoundError` for objects that are not there, else `ArtifactsUnavailable`."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise
            raise ArtifactsUnavailable(f"{self.address}: {_explained(error)}") from error
        except (BaseError, OSError) as error:
            raise ArtifactsUnavailable(f"{self.address}: {_explained(error)}") from error

    def check(self) -> None:
        """Raise `ArtifactsUnavailable` unless something can be written here and read again."""
        try:
            with self.reached():
                if self.directory is not None:
                    tempfile.TemporaryFile(dir=self.directory).close()
                    return
                obstore.put(self.store, PROBE, b"Marquee keeps its artifacts here.\n")
                obstore.get(self.store, PROBE).bytes()
        except FileNotFoundError as error:
            raise ArtifactsUnavailable(f"{self.address}: {_explained(error)}") from error


def open_place(url: str | Path, access: S3Access | None = None) -> Place:
    """The place of a path or of `s3://bucket/prefix`; a directory is made. Raises `ArtifactsUnavailable` if that fails."""
    text = str(url)
    if text.startswith(S3):
        return _open_bucket(text, access or S3Access())
    try:
        Path(text).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactsUnavailable(f"{text}: {_explained(error)}") from error
    directory = Path(text).resolve()
    return Place(LocalStore(prefix=directory), text, directory)


def _open_bucket(url: str, access: S3Access) -> Place:
    bucket, _, prefix = url.removeprefix(S3).partition("/")
    endpoint = access.endpoint_url
    store = S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        config=access.config(),
        client_options={
            "allow_http": (endpoint or "").startswith("http://"),
            "connect_timeout": f"{CONNECT_SECONDS}s",
            "timeout": f"{REQUEST_SECONDS}s",
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    )
    return Place(store, f"{url} at {endpoint}" if endpoint else url, None)


def _explained(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if (code := _CODE.search(str(error))) is not None:
        return _REASONS.get(code[1], f"the store answers {code[1]}")
    if isinstance(error, UnauthenticatedError | PermissionDeniedError):
        return "the credentials are refused (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    # The first line tells what was tried and what happened; what follows is of use to authors of obstore only.
    return str(error).partition("\n")[0][:300]
