"""What happened? One log file per service, every line with the request it belongs to."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any

import structlog

from evolve.errors import Unavailable

MAX_BYTES = 10 << 20  # rotated at 10 MiB, five kept: a week of a busy service, and never a full disk
KEPT = 5


def configure(service: str | None, *, directory: Path | None, level: str, rotate: bool = True) -> None:
    """Log to `<directory>/<service>_service.log`, or to stderr when there is no service.

    rotate: whether this process rotates the file; its job processes only append and follow.

    Raises Unavailable when the directory cannot be written.
    """
    handler: logging.Handler
    if service is None or directory is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / f"{service}_service.log"
            if rotate:
                handler = logging.handlers.RotatingFileHandler(
                    path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8"
                )
            else:
                handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            raise Unavailable(
                f"cannot write logs to {directory}: {error.strerror}; set EVOLVE_LOG_DIR to a writable directory"
            ) from None
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], sort_keys=False),
            ],
            foreign_pre_chain=_SHARED,
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


_SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logger(**bound: Any) -> Any:
    """A logger whose lines carry `bound`.

    Where nobody configured logging (a notebook, a script), lines go to the host program's `logging`: warnings to stderr by
    Python's own default, and never anything to standard output, which belongs to that program.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *_SHARED,
                structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], sort_keys=False),
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
    return structlog.get_logger(**bound)
