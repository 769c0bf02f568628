"""Names of files and folders from keys and labels, which are anybody's: safe, unique, repeatable.

What may not stand in a name becomes `%XX` of its UTF-8 bytes, and so does `%`: two different names
never become one. What is the same name after all (folders dropped, letters of either case, another
extension) is told apart by `~` and the image's id; no other name holds a `~`.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from cvdata.sources.folder import IMAGE_EXTENSIONS
from cvdata.sources.listing import extension

MAX_NAME_BYTES = 150
"""Longest name in UTF-8; with `~`, an id and an extension it stays below 255."""
MAX_PATH_BYTES = 1000

_RESERVED = "con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]"
_PLAIN = re.compile(rf"(?!__|(?:{_RESERVED})(?:\.|$))[a-z0-9_][a-z0-9_. -]*(?<![. ])", re.I | re.A)
_DEVICE = re.compile(rf"(?:{_RESERVED})(?:\.|$)", re.I)
_FORBIDDEN = frozenset('/\\:*?"<>|%~')
_MEMBER = re.compile(rb"\.tar!", re.I)
_OURS = frozenset({b"bin", b"txt", b"xml", b"json", b"cls"})


def safe_name(raw: bytes | str, unsafe: str = "") -> tuple[str, bool]:
    """One name for a file or folder on any system, and whether it had to be cut.

    Without folders, control, bidi or other unprintable characters, what Windows forbids, and those
    in `unsafe`; never empty, hidden, `.` or `..`, nor like an option. One name for one input, as
    long as it is not cut.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "surrogateescape")
    is_plain = _PLAIN.fullmatch(text) is not None and len(text) <= MAX_NAME_BYTES
    if is_plain and not any(c in text for c in unsafe):
        return text, False
    safe = "".join(_escaped(c) if _is_unsafe(c, unsafe) else c for c in text)
    if not safe:
        return "%", False  # of nothing else: a percent sign becomes %25
    if safe[0] in ".- " or safe.startswith("__") or _DEVICE.match(safe):
        safe = _escaped(safe[0]) + safe[1:]
    if safe[-1] in ". ":
        safe = safe[:-1] + _escaped(safe[-1])
    encoded = safe.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return safe, False
    cut = encoded[:MAX_NAME_BYTES].decode("utf-8", "ignore").rstrip(". ")
    return cut, True


def _is_unsafe(c: str, unsafe: str) -> bool:
    return c in _FORBIDDEN or c in unsafe or not (c.isprintable() or c == " ")


def _escaped(c: str) -> str:
    return "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "surrogateescape"))


def stem_of(key: bytes, style: str, *, is_member: bool, unsafe: str = "") -> tuple[str, bool]:
    """The path of an image without its extension, and whether it had to be cut.

    `style`: `name` takes the last part of the key, `path` all of it. `is_member`: the key is
    `shard!member`, of which the member is taken.
    """
    if is_member and (found := _MEMBER.search(key)):
        key = key[found.end() :]
    *folders, name = [part for part in key.split(b"/") if part] or [b""]
    if extension(name) in IMAGE_EXTENSIONS:
        name = name.rpartition(b".")[0]
    stem, is_cut = safe_name(name, unsafe)
    if style != "path" or not folders:
        return stem, is_cut
    parts = [_folder_name(folder, unsafe) for folder in folders]
    path = "/".join([*(part for part, _ in parts), stem])
    if len(path.encode()) > MAX_PATH_BYTES:
        return stem, True
    return path, is_cut or any(was_cut for _, was_cut in parts)


def _folder_name(raw: bytes, unsafe: str) -> tuple[str, bool]:
    """A folder's name, never one that a file here could have."""
    kind = extension(raw)
    return safe_name(raw, unsafe + "." if kind in IMAGE_EXTENSIONS or kind in _OURS else unsafe)


def extension_of(key: bytes) -> str:
    """The image extension that the key has, as it is written there; "" where it has none."""
    found = extension(key)
    return key[-len(found) :].decode() if found in IMAGE_EXTENSIONS else ""


def folded(path: str) -> str:
    """Equal for paths that some file system takes for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def told_apart(stem: str, image_id: bytes) -> str:
    """The stem of an image whose plain one is not its own."""
    return f"{stem}~{image_id.hex()}"


def folder_names(names: Iterable[str]) -> dict[str, str]:
    """A folder for each name, no two the same on any file system."""
    found = {name: safe_name(name) for name in names}
    taken = Counter(folded(safe) for safe, _ in found.values())
    return {
        name: f"{safe}~{_short_digest(name)}" if was_cut or taken[folded(safe)] > 1 else safe
        for name, (safe, was_cut) in found.items()
    }


def _short_digest(name: str) -> str:
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
