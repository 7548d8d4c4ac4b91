"""Logging of our processes: quiet, one line a record, JSON on request."""

import json
import logging
import sys
import time
from typing import TextIO

ROOTS = ("cluster", "pipelines", "deployments")
# Each of these writes several lines at INFO on every start.
NOISY = ("httpx", "httpcore", "urllib3", "chromadb", "sentence_transformers", "transformers", "vllm")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a record: time (UTC), level, logger, message, and whatever `extra` carries."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(*, level: str = "WARNING", json_lines: bool = False, stream: TextIO | None = None) -> None:
    """Send our loggers to a stream, stderr by default, and quieten the libraries; a second call replaces it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if json_lines else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    for name in ROOTS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
