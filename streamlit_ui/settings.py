"""The settings of the interface: where it listens, where the API is, where sign-ins are kept."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, Field, TypeAdapter
from pydantic_settings import BaseSettings, SettingsConfigDict

_URL = TypeAdapter(AnyHttpUrl)


def _base_url(value: str) -> str:
    _URL.validate_python(value)
    return value.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]


class UiSettings(BaseSettings):
    """Read from the environment and `.env`; a name without a value counts as not set."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    api_url: BaseUrl = Field(default="http://127.0.0.1:8080", description="Where the interface reaches the API.")
    public_api_url: BaseUrl | None = Field(default=None, description="The API's address as shown to people; API_URL if not set.")
    ui_host: str = Field(default="127.0.0.1", min_length=1, description="Address the interface listens on.")
    ui_port: int = Field(default=8501, ge=1, le=65535, description="Port the interface listens on.")
    ui_session_dir: Path = Field(
        default=Path(".marquee/ui-sessions"), description="Directory of the sign-ins, each encrypted with a key only its browser holds."
    )

    @property
    def shown_api_url(self) -> str:
        """The API's address for people."""
        return self.public_api_url or self.api_url
