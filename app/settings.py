"""The settings of the app."""

from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.addresses import Email
from core.settings import CoreSettings

MIN_SECRET_BYTES = 32
MIN_SECRET_VARIETY = 10
PLACEHOLDERS = ("change", "placeholder", "replace", "example", "your-", "your_", "secret", "insecure", "default")


def _strong(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if len(value.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"is too short: at least {MIN_SECRET_BYTES} bytes are needed; `openssl rand -hex 32` makes a good one")
    if len(set(value)) < MIN_SECRET_VARIETY or any(word in value.lower() for word in PLACEHOLDERS):
        raise ValueError("is a placeholder; `openssl rand -hex 32` makes a good one")
    return secret


class AppSettings(CoreSettings):
    """Read from the environment and `.env`; a name without a value counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    jwt_secret: Annotated[SecretStr, AfterValidator(_strong)] = Field(
        description="Signs access tokens; at least 32 random bytes, the same for all copies of the app."
    )
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on; 0.0.0.0 for all.")
    api_port: int = Field(default=8080, ge=1, le=65535, description="Port the API listens on.")
    rank_seconds: float = Field(default=2.0, ge=0, le=30, description="How long a request waits for a list that only a worker can compute.")
    trusted_proxies: str = Field(
        default="127.0.0.1",
        description="Addresses or networks, separated by commas, whose X-Forwarded-For says who the client is; nobody else's does.",
    )
    dispatcher: bool = Field(
        default=True, description="on: this process moves tasks along too; off: `marquee dispatcher` does, somewhere else."
    )
    access_token_minutes: int = Field(default=15, ge=1, le=24 * 60, description="How long an access token is good for.")
    refresh_token_days: int = Field(default=30, ge=1, le=365, description="How long somebody stays signed in without coming back.")
    sign_in_failures: int = Field(
        default=10, ge=0, le=10_000, description="Wrong passwords for one address from one client in 5 minutes; 0: any number."
    )
    tasks_queued_per_owner: int = Field(
        default=20_000, ge=0, description="How many tasks an account that is no admin may have queued; 0: any number."
    )
    task_retention_days: float = Field(default=30, ge=0, le=36_500, description="Days after which ended tasks are deleted; 0: never.")
    impression_retention_days: float = Field(
        default=400, ge=0, le=36_500, description="Days after which impressions are deleted, with their clicks and conversions; 0: never."
    )
    orphan_hours: float = Field(
        default=24, ge=0, le=36_500, description="Hours after which artifacts that nothing points to are deleted; 0: never."
    )
    admin_email: Email | None = Field(default=None, description="With ADMIN_PASSWORD: an administrator made at start unless it exists.")
    admin_password: SecretStr | None = Field(
        default=None, min_length=8, max_length=256, description="The password of ADMIN_EMAIL when it is made; 8 to 256 characters."
    )

    @field_validator("orphan_hours")
    @classmethod
    def _leave_time(cls, value: float) -> float:
        if 0 < value < 1:
            raise ValueError("must be 0 (never) or at least 1: results are written moments before anything points to them")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _name_networks(cls, value: str) -> str:
        for part in value.split(","):
            try:
                ip_network(part.strip())
            except ValueError as error:
                raise ValueError(f"holds something that is neither an address nor a network: {error}") from None
        return value

    @model_validator(mode="after")
    def _admin_pair(self) -> Self:
        if (self.admin_email is None) != (self.admin_password is None):
            raise ValueError("ADMIN_EMAIL and ADMIN_PASSWORD are set together or not at all")
        return self


class DispatcherSettings(CoreSettings):
    """What a dispatcher reads that is a process of its own."""

    dispatcher_host: str = Field(default="127.0.0.1", description="Address of the dispatcher's health and metrics; 0.0.0.0 for all.")
    dispatcher_port: int = Field(default=0, ge=0, le=65535, description="Port of the dispatcher's health and metrics; 0 serves none.")
