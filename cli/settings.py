"""The settings of the local stack: what `make run` reads before it starts the other processes."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class LocalSettings(BaseSettings):
    """Where the local stack lives and listens; everything else it starts with is generated and kept in its home."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    marquee_home: Path = Field(default=Path(".marquee"), description="Folder of everything the local stack writes.")
    database_url: SecretStr | None = Field(default=None, description="A PostgreSQL server to use instead of the embedded one.")
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int | None = Field(default=None, ge=1, le=65535, description="Port of the API; without it the first free one from 8080.")
    ui_host: str = Field(default="127.0.0.1", description="Address the interface listens on.")
    ui_port: int | None = Field(default=None, ge=1, le=65535, description="Port of the interface; without it the first free one from 8501.")
    worker_replicas: int = Field(default=1, ge=1, le=64, description="Worker processes started side by side.")
    demo_email: str = Field(default="demo@example.com", description="E-mail of the account the first start creates.")
