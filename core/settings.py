"""The settings every process shares: where the data is and how to log."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from core.cron import check_timezone

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*'()/-]*)?")
_ENDPOINT = re.compile(r"https?://[^/@\s]+/?")

LARGEST_SECRET_BYTES: Final = 64 * 1024


class FileSettings(BaseSettings):
    """Base of all settings: the environment, then `.env`, then the file that `NAME_FILE` names for a secret `NAME`."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given first counts; empty values count as not given."""
        return init_settings, env_settings, dotenv_settings, _SecretFiles(settings_cls, dotenv_settings, env_settings)

    @classmethod
    def secret_names(cls) -> list[str]:
        """The fields that a file may hold: those that are secret."""
        return [name for name, field in cls.model_fields.items() if _is_secret(field)]


class CoreSettings(FileSettings):
    """What every process reads; built once in each `main` and passed down."""

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
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None, pattern=r"^https?://[^@\s]+$", description="Where OpenTelemetry traces go, over HTTP; without it none are made."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe level that is logged.")
    log_format: Literal["console", "json"] = Field(
        default="console", description="console for people, json for log collectors (one object a line)."
    )

    @property
    def model_bundle_bytes(self) -> int:
        """MODEL_BUNDLE_MB in bytes."""
        return self.model_bundle_mb * 1_000_000

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


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads a secret from the file that `NAME_FILE` names, so that it is in no environment that a container's description shows."""

    def __init__(self, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._variables: dict[str, str | None] = {}
        for source in sources:
            if isinstance(source, EnvSettingsSource):
                self._variables |= {name: value for name, value in source.env_vars.items() if value}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The content of the field's file, if it is a secret and has one."""
        path = self._variables.get(f"{field_name}_file") if _is_secret(field) else None
        return (_read_secret(field_name, Path(path)) if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        found: Mapping[str, Any] = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
            if name not in self.current_state
        }
        return {name: value for name, value in found.items() if value}


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def _read_secret(name: str, path: Path) -> str:
    reason = "has more than 64 KB"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET_BYTES + 1)
        if len(content) <= LARGEST_SECRET_BYTES:
            return content.decode().strip()
    except UnicodeDecodeError:
        reason = "is not text in UTF-8"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    problem = PydanticCustomError("value_error", "names {path}, which {reason}", {"path": str(path), "reason": reason})
    details: list[InitErrorDetails] = [{"type": problem, "loc": (f"{name}_file",), "input": None}]
    raise ValidationError.from_exception_data("settings", details)


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
