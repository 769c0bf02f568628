"""The folder that an export goes to: whose it is, and what is left of an earlier run."""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from cvdata.errors import ConfigError, StorageError
from cvdata.runs.export_task import STATE
from cvdata.storage import Store

PLAN = f"{STATE}/plan.json"
FACTS, CHECKSUMS, CARD, PROVENANCE = "export.json", "SHA256SUMS", "README.md", "provenance.jsonl"


class Claim(Enum):
    """What lies in a target: nothing, an unfinished run of this very plan, or the whole export."""

    FRESH = "fresh"
    RESUMED = "resumed"
    DONE = "done"


def claim(target: Store, workspace: str, plan: Mapping[str, Any], *, replace: bool) -> Claim:
    """Make the target ours; `ConfigError` where it is somebody else's, or of another plan.

    `replace` empties a target that an earlier export wrote, and no other.
    """
    found = inspect(target, workspace, plan, replace=replace)
    if found is Claim.FRESH:
        if target.exists(FACTS) or target.exists(PLAN):
            _empty(target)
        target.put(PLAN, json.dumps(plan, indent=1, sort_keys=True).encode())
    return found


def inspect(target: Store, workspace: str, plan: Mapping[str, Any], *, replace: bool) -> Claim:
    """What `claim` would find; nothing is changed."""
    _refuse_inside(target, workspace)
    if target.fs.isfile(target.root):
        raise ConfigError(f"{target.url} is a file; name a folder")
    held = _read(target, FACTS)
    before = held or _read(target, PLAN)
    if before is None:
        if _is_empty(target):
            return Claim.FRESH
        raise ConfigError(
            f"{target.url} is not empty, and no export of cvdata is in it; name a new folder"
        )
    if before.get("fingerprint") == plan["fingerprint"]:
        return Claim.DONE if held is not None else Claim.RESUMED
    if replace:
        return Claim.FRESH
    what = "an export" if held is not None else "an unfinished export"
    raise ConfigError(
        f"{target.url} holds {what} of other options, or of other tables (format "
        f"{before.get('format')}, commit {before.get('commit')}); name a new folder, or pass "
        "--replace, which deletes everything in it first"
    )


def _refuse_inside(target: Store, workspace: str) -> None:
    own = Store(workspace)
    if f"{target.root}/".startswith(f"{own.root}/") and type(own.fs) is type(target.fs):
        raise ConfigError(
            f"{target.url} lies in the workspace, whose folders are cvdata's; name another folder"
        )


def _read(target: Store, path: str) -> dict[str, Any] | None:
    try:
        value = json.loads(target.get(path))
    except FileNotFoundError:
        return None
    except ValueError:
        raise ConfigError(
            f"{target.url}/{path} is none of ours or damaged; name a new folder"
        ) from None
    is_ours = isinstance(value, dict) and value.get("made_by") == "cvdata export"
    if not is_ours:
        raise ConfigError(f"{target.url} holds another program's {path}; name a new folder")
    found: dict[str, Any] = value
    return found


def _is_empty(target: Store) -> bool:
    """Whether nothing is there, by one listing of the top."""
    target.fs.invalidate_cache()
    try:
        return not target.fs.ls(target.root, detail=False)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StorageError(f"listing {target.url} failed: {error}") from error


def _empty(target: Store) -> None:
    """Delete everything below the target; what marks it as ours goes last."""
    marks = (FACTS, STATE)
    try:
        paths = target.fs.ls(target.root, detail=False)
        for path in sorted(paths, key=lambda path: str(path).rstrip("/").endswith(marks)):
            target.fs.rm(path, recursive=True)
    except OSError as error:
        raise StorageError(f"emptying {target.url} failed: {error}") from error


def forget_pieces(target: Store) -> None:
    """Delete the pieces of a whole export."""
    path = target.path(STATE)
    try:
        if target.fs.exists(path):
            target.fs.rm(path, recursive=True)
    except OSError as error:
        raise StorageError(f"deleting {STATE} in {target.url} failed: {error}") from error
