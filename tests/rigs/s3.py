"""A real S3 server (moto's) on a port of its own, with one bucket."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from core.places import S3Access

BUCKET = "marquee"
SECRET = "a-secret-that-no-message-may-tell"


@dataclass(frozen=True)
class S3Server:
    """Where it listens and how it is reached."""

    endpoint: str

    @property
    def access(self) -> S3Access:
        return S3Access(self.endpoint, "us-east-1", SecretStr("tester"), SecretStr(SECRET))

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that keeps its artifacts here."""
        return {
            "ARTIFACTS_URL": f"s3://{BUCKET}/some/prefix",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }


@contextmanager
def s3_server() -> Iterator[S3Server]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    httpx2.put(f"http://{host}:{port}/{BUCKET}").raise_for_status()
    yield S3Server(f"http://{host}:{port}")
    server.stop()
