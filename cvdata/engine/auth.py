"""Ray's token: who has it may run code on the cluster, so it is for its owner alone."""

import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from cvdata.errors import ConfigError

log = logging.getLogger("cvdata")


def token_path() -> Path:
    """Where Ray looks for it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def protect_token() -> None:
    """Take the token from others, who may read it where Ray wrote it."""
    path = token_path()
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        try:
            path.chmod(0o600)
        except OSError as error:  # mounted read-only, as Kubernetes does
            log.warning("others may read Ray's token %s, which cannot be changed: %s", path, error)


def ensure_token() -> None:
    """Make the token of a new Ray before Ray does, who would let others read it."""
    is_asked = os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"
    if not is_asked or os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = token_path()
    if path.exists():
        protect_token()
        return
    temp = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            with suppress(FileExistsError):  # another run was faster: its token is as good
                os.link(temp, path)
        finally:
            temp.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Ray keeps its token in {path}, which cannot be written: {error}; set HOME or "
            "RAY_AUTH_TOKEN_PATH to a place of yours, or run with --engine serial"
        ) from error
