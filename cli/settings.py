"""The settings of the local stack (`make run`) and of the one-shot steps of a deployment (`marquee deploy`)."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from core.settings import CoreSettings, FileSettings


class LocalSettings(FileSettings):
    """Where the local stack lives and listens; everything else it starts with is generated and kept in its home."""

    marquee_home: Path = Field(default=Path(".marquee"), description="Folder of everything the local stack writes.")
    database_url: SecretStr | None = Field(default=None, description="A PostgreSQL server to use instead of the embedded one.")
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int | None = Field(default=None, ge=1, le=65535, description="Port of the API; without it the first free one from 8080.")
    ui_host: str = Field(default="127.0.0.1", description="Address the interface listens on.")
    ui_port: int | None = Field(default=None, ge=1, le=65535, description="Port of the interface; without it the first free one from 8501.")
    worker_replicas: int = Field(default=1, ge=1, le=64, description="Worker processes started side by side.")
    demo_email: str = Field(default="demo@example.com", description="E-mail of the account the first start creates.")


class SeedSettings(CoreSettings):
    """What an empty database is filled with at the first start of a deployment."""

    seed: Literal["demo", "none"] = Field(default="demo", description="demo: invented films and people; none: nothing.")
    data: str | None = Field(default=None, description="Path or URL of a data set to load instead.")
    data_file_id: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{10,100}$", description="Id of a file on Google Drive to load instead."
    )
    drive_address: str = Field(
        default="https://drive.google.com/uc?id={}", pattern=r"\{\}", description="Where the id is looked up, {} standing for it."
    )

    @property
    def source(self) -> str | None:
        """What `marquee import` would be given, if anything."""
        return self.drive_address.format(self.data_file_id) if self.data_file_id else self.data


class ReadySettings(FileSettings):
    """What the last step of a deployment's start asks and prints."""

    api_url: str = Field(default="http://127.0.0.1:8080", description="Where the API is reached.")
    ui_url: str = Field(default="http://127.0.0.1:8501", description="Where the interface is reached.")
    public_api_url: str = Field(default="http://localhost:8080", description="The API's address for people.")
    public_ui_url: str = Field(default="http://localhost:8501", description="The interface's address for people.")
    admin_email: str | None = Field(default=None, description="The administrator the first start makes.")
    admin_password: SecretStr | None = Field(default=None, description="The password it was made with.")
