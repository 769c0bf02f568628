"""One sample for all tests here, and how they look at its files."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from cvdata.sample import Truth, decode_path, make_sample


@dataclass(frozen=True)
class Made:
    """A sample on disk."""

    root: Path
    truth: Truth

    def path(self, name: str) -> Path:
        return self.root / os.fsdecode(decode_path(name))

    def data(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def stored(self, name: str) -> np.ndarray:
        """(H, W, 3) as stored."""
        with Image.open(io.BytesIO(self.data(name))) as image:
            return np.asarray(image.convert("RGB"))

    def upright(self, name: str) -> np.ndarray:
        """(H, W, 3) after the EXIF orientation."""
        with Image.open(io.BytesIO(self.data(name))) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))

    @cached_property
    def good(self) -> list[str]:
        return [name for name in self.truth.files if name not in self.truth.errors]

    @cached_property
    def clean(self) -> list[str]:
        """Tiles with nothing planted."""
        return [name for name, file in self.truth.files.items() if not file.plants]

    def copies(self, is_wanted: Callable[[str], bool]) -> list[tuple[str, str]]:
        """(base, copy) of the edits that are wanted."""
        groups = self.truth.duplicates
        return [(g.base, c.path) for g in groups for c in g.copies if is_wanted(c.edit)]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("sample") / "made"
    return Made(root, make_sample(root))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("sample") / "small"
    return Made(root, make_sample(root, seed=1, size="small"))
