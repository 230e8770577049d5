"""Structured logging: one configuration for every process, standard-library loggers included."""

import logging
import logging.config
from typing import Literal, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(*, level: str, style: Literal["console", "json"]) -> None:
    """Send every log record of the process to stderr in one shape; call once, from `main`."""
    renderer: Processor = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": _SHARED,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        renderer,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            # These tell of every attempt to reach what is lost, in many lines; who needs the connection says it in one.
            "loggers": {
                "psycopg.pool": {"level": "ERROR"},
                **{name: {"level": "CRITICAL"} for name in ("pika", "aiormq", "aio_pika")},
            },
            "root": {"handlers": ["stderr"], "level": level.upper()},
        }
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events are words and whose facts are keyword arguments."""
    return cast("FilteringBoundLogger", structlog.stdlib.get_logger(name))
