"""The settings every process shares: where the data is and how to log."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.cron import check_timezone

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*'()/-]*)?")
_ENDPOINT = re.compile(r"https?://[^/@\s]+/?")


class CoreSettings(BaseSettings):
    """Read from the environment and `.env`; built once in each `main` and passed down."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: SecretStr = Field(description="PostgreSQL, as postgresql://user:password@host:port/name.")
    rabbitmq_url: SecretStr | None = Field(
        default=None, description="RabbitMQ, as amqp://user:password@host:port/vhost; without it PostgreSQL's NOTIFY wakes the workers."
    )
    artifacts_url: str = Field(
        default=".marquee/artifacts",
        description="Where trained models and other large results are kept: a directory, or s3://bucket/prefix.",
    )
    aws_endpoint_url: str | None = Field(default=None, description="Address of an S3-compatible store that is not Amazon's.")
    aws_region: str | None = Field(default=None, description="Region of the bucket.")
    aws_access_key_id: SecretStr | None = Field(default=None, description="Access key of the bucket.")
    aws_secret_access_key: SecretStr | None = Field(default=None, description="Secret key of the bucket.")
    schedule_timezone: Annotated[str, AfterValidator(check_timezone)] = Field(
        default="UTC", description="Time zone of schedules that name none, such as Europe/Berlin; the same for all processes."
    )
    model_bundle_mb: int = Field(default=2048, ge=1, description="Largest model, in megabytes unpacked, that is taken from a bundle.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe level that is logged.")
    log_format: Literal["console", "json"] = Field(
        default="console", description="console for people, json for log collectors (one object a line)."
    )

    @field_validator("artifacts_url", mode="before")
    @classmethod
    def _place(cls, value: object) -> object:
        text = str(value) if isinstance(value, Path) else value
        if isinstance(text, str) and "://" in text and not _BUCKET.fullmatch(text):
            raise ValueError("must be a directory or of the form s3://bucket or s3://bucket/prefix")
        return text

    @field_validator("aws_endpoint_url")
    @classmethod
    def _name_http(cls, value: str | None) -> str | None:
        if value is not None and not _ENDPOINT.fullmatch(value):
            raise ValueError("must be of the form https://host or http://host:port, without user and password")
        return value

    @field_validator("rabbitmq_url")
    @classmethod
    def _name_amqp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("amqp://", "amqps://")):
            raise ValueError("must be of the form amqp://user:password@host:port/vhost, or amqps:// with TLS")
        return value

    @field_validator("database_url")
    @classmethod
    def _name_postgresql(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith("postgresql://"):
            raise ValueError("must be of the form postgresql://user:password@host:port/name")
        return value


def complaints(error: ValidationError) -> list[str]:
    """One sentence for each setting that is wrong; values are not repeated, for they may be secret."""
    return [_sentence(found) for found in error.errors()]


def _sentence(found: ErrorDetails) -> str:
    name = ".".join(str(part) for part in found["loc"]).upper()
    reason = found["msg"].removeprefix("Value error, ")
    if found["type"] == "missing":
        return f"{name} is not set."
    if not name:
        return f"{reason}."
    return f"{name} {reason}." if found["type"] == "value_error" else f"{name}: {reason[0].lower()}{reason[1:]}."
