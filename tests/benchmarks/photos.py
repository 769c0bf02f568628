"""Photographs for benchmarks: real ones, replicated into files that differ in bytes, not pixels."""

import os
from pathlib import Path

from tests.conftest import ROOT


def shared_data() -> Path:
    """The folder of real images; exits where it is absent."""
    path = Path(os.environ.get("CVDATA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        raise SystemExit(f"this benchmark needs real images: {path} is absent")
    return path


def replicate(sources: list[Path], folder: Path, n: int) -> list[Path]:
    """`n` files from `sources`, each with a comment segment of its own after the JPEG's start."""
    folder.mkdir(parents=True, exist_ok=True)
    bytes_of = {p: p.read_bytes() for p in sources}
    made = []
    for i in range(n):
        source = sources[i % len(sources)]
        target = folder / f"{i:06d}_{source.stem}.jpg"
        if not target.exists():
            data = bytes_of[source]
            comment = f"copy {i}".encode()
            segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            target.write_bytes(data[:2] + segment + data[2:])
        made.append(target)
    return made
