"""Local files: whole or absent at any moment, and what makes them outlast a power cut."""

import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

TEMP_PREFIX = ".tmp-"


def put_new(path: Path, data: bytes | Path) -> bool:
    """Temp file, fsync, exclusive link, fsync of the folder: whole and durable, or absent.

    `data` is the content or a file that holds it. False, and no change, where the name is taken.
    """
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(temp_name())
    try:
        with temp.open("xb") as file:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temp, path)
        except FileExistsError:
            return False
        with _opened(path.parent) as folder:
            os.fsync(folder)
        return True
    finally:
        temp.unlink(missing_ok=True)


def put_content(path: Path, data: bytes) -> None:
    """Write a file whose name is the digest of `data`; whole at once, durable after `settle`.

    One of that name and size is there already and is left: after a power cut a file that was not
    settled is shorter. Costs a fifth of `put_new`.
    """
    with suppress(FileNotFoundError):
        if path.stat().st_size == len(data):
            return
    temp = path.with_name(temp_name())
    try:
        try:
            file = temp.open("xb", buffering=0)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = temp.open("xb", buffering=0)
        with file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


def settle(folder: Path) -> None:
    """Wait until all that was written on the file system of `folder` is on its disk."""
    sync = _syncfs()
    if sync is None:
        os.sync()
        return
    with _opened(folder) as descriptor:
        if sync(descriptor) and (number := ctypes.get_errno()) != errno.ENOSYS:
            raise OSError(number, os.strerror(number), str(folder))


@cache
def _syncfs() -> Any:
    """The system's call for one file system, None where there is only one for all of them."""
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def temp_name() -> str:
    """A name that no other writer has; `gc` takes such files for leftovers."""
    return f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
