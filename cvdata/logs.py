"""Log lines on standard error: for a person, or one JSON object a line for a machine."""

import logging
import os
import sys

log = logging.getLogger("cvdata")
FORMAT_VARIABLE = "CVDATA_LOG_FORMAT"
FORMATS = ("text", "json")


def set_up_logging(form: str = "", *, verbose: bool = False, job: str = "") -> None:
    """Log lines of cvdata to standard error, as `form`, else CVDATA_LOG_FORMAT, else text.

    A JSON object has `time` (UTC), `level`, `message`, `job`, and what the line adds: how far a
    pass is, an exit code.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json(job) if chosen(form) == "json" else _text())
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.propagate = False


def chosen(form: str = "") -> str:
    """`text` or `json`: as asked, else as the environment says; an unknown word there is text."""
    found = form or os.environ.get(FORMAT_VARIABLE, "")
    return found if found in FORMATS else "text"


def is_json() -> bool:
    """Whether lines are objects now."""
    kinds = {type(handler.formatter).__name__ for handler in log.handlers}
    return "JsonFormatter" in kinds if log.handlers else chosen() == "json"


def fail(message: str, exit_code: int) -> None:
    """Say on standard error why a command ended."""
    if not is_json():
        print(f"cvdata: {message}", file=sys.stderr)
        return
    if not log.handlers:
        set_up_logging()
    log.error(message, extra={"exit_code": exit_code})


def _text() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")


def _json(job: str) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
        static_fields={"job": job} if job else {},
    )
