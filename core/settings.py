"""The settings every process shares: where the data is and how to log."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class CoreSettings(BaseSettings):
    """Read from the environment and `.env`; built once in each `main` and passed down."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: SecretStr = Field(description="PostgreSQL, as postgresql://user:password@host:port/name.")
    artifact_dir: Path = Field(
        default=Path(".marquee/artifacts"), description="Directory where trained models and other large results are kept."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe level that is logged.")
    log_format: Literal["console", "json"] = Field(
        default="console", description="console for people, json for log collectors (one object a line)."
    )

    @field_validator("database_url")
    @classmethod
    def _name_postgresql(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith("postgresql://"):
            raise ValueError("only PostgreSQL is understood: postgresql://user:password@host:port/name")
        return value
