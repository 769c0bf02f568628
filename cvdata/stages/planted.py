"""Copies planted on purpose: images are edited as people edit them, then hashed, embedded, seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image as PilImage

from cvdata.duplicates.calibration import Planted
from cvdata.errors import ImageError
from cvdata.image import Limits, open_image
from cvdata.kernels.registration import View
from cvdata.kernels.verification import VerifyOptions, verify
from cvdata.measures import build
from cvdata.models.base import Geometry, Prepared
from cvdata.sample.edits import BY_NAME
from cvdata.sample.encode import encode
from cvdata.sources.fetch import Fetcher
from cvdata.stages.isolation import shared_sandbox
from cvdata.stages.predict import Inference
from cvdata.stages.scanner import Prepare
from cvdata.stages.thumbs import GrayThumb, gray_thumbs

EDITS = (
    *("reencoded_q20", "resized_50", "cropped_80", "cropped_60", "mirrored", "rotated_90"),
    *("rotated_10", "recoloured_brighter", "recoloured_gray", "text_bar", "border_25"),
    "squeezed_70",
)
"""Of `cvdata.sample.edits`: what a copy must stand to be found."""
SIDE = 1024
"""Longest side of the pictures that are edited: larger ones are shrunk before."""

Thumb = npt.NDArray[np.uint8]
Seen = tuple[bytes, Thumb, Any]
"""Hash, grey thumb, and what the model takes (None without one)."""


@dataclass(frozen=True)
class PlantedViews:
    """bytes -> what is known of the image and of each edited copy: a `Seen` each. For a sandbox.

    The edits of an image are the same wherever it lies: their randomness comes from its bytes.
    """

    edits: tuple[str, ...]
    seed: int
    limits: Limits
    prepare: Prepare | None = None

    def __call__(self) -> Callable[[bytes, str], list[Seen]]:
        """Build it where the pixels will be."""
        phash = build("phash")
        thumb = GrayThumb(self.limits)()

        def seen(data: bytes, name: str) -> Seen:
            image = open_image(data, self.limits, name)
            prepared = None if self.prepare is None else self.prepare(image.rgb)
            word = phash(image)["phash"]
            assert isinstance(word, bytes)  # noqa: S101 - the measure's own schema says so
            return word, thumb(data, name), prepared

        def views(data: bytes, name: str) -> list[Seen]:
            small = PilImage.fromarray(open_image(data, self.limits, name).rgb)
            small.thumbnail((SIDE, SIDE))
            base = encode(small, "BMP")
            copies = (BY_NAME[edit].make(base, self._rng(data, edit)) for edit in self.edits)
            return [seen(data, name), *(seen(copy, name) for copy in copies)]

        return views

    def _rng(self, data: bytes, edit: str) -> np.random.Generator:
        salt = blake2b(f"{self.seed} {edit} ".encode() + data, digest_size=8)
        return np.random.default_rng(int.from_bytes(salt.digest(), "big"))


@dataclass(frozen=True)
class PlantCopies:
    """The task: rows of `records` -> `Planted`, without the images that cannot be read."""

    edits: tuple[str, ...]
    seed: int
    limits: Limits = field(default_factory=Limits)
    inference: Inference | None = None
    options: VerifyOptions = field(default_factory=VerifyOptions)

    def __call__(self, records: pa.Table) -> tuple[npt.NDArray[np.int64], Planted]:
        """(rows of `records` that were read, what is known of them)."""
        prepare = None if self.inference is None else self.inference.prepare
        factory = PlantedViews(self.edits, self.seed, self.limits, prepare)
        hashes, vectors, verdicts, rows = [], [], [], []
        for row, views in _views(records, factory, self.limits):
            embedded = self._embedded([prepared for _, _, prepared in views])
            if embedded is None:
                continue
            original = View(views[0][1])
            looks = (verify(original, View(view[1]), self.options) for view in views[1:])
            rows.append(row)
            hashes.append([int.from_bytes(word, "big") for word, _, _ in views])
            vectors.append(embedded)
            verdicts.append([look.is_copy for look in looks])
        n, width = len(rows), 1 + len(self.edits)
        dimension = vectors[0].shape[1] if vectors else 0
        planted = Planted(
            np.array(hashes, np.uint64).reshape(n, width),
            np.array(vectors, np.float32).reshape(n, width, dimension),
            np.array(verdicts, bool).reshape(n, width - 1),
        )
        return np.array(rows, np.int64), planted

    def _embedded(self, prepared: list[Any]) -> npt.NDArray[np.float32] | None:
        """(1 + E, D) vectors, D = 0 without a model; None where the model fails on one."""
        if self.inference is None:
            return np.empty((len(prepared), 0), np.float32)
        results = self.inference.runner().run(prepared)
        if any(isinstance(result, ImageError) for result in results):
            return None
        return np.stack([np.asarray(result, np.float32) for result in results])


@dataclass(frozen=True)
class Across:
    """Pairs (row, k, other) to look at: copy k of `records[row]` against `records[other]`."""

    at: npt.NDArray[np.int64]
    records: pa.Table
    place: npt.NDArray[np.int32]


@dataclass(frozen=True)
class LookAcross:
    """The task: does the second look take a copy for another image?"""

    edits: tuple[str, ...]
    seed: int
    limits: Limits = field(default_factory=Limits)
    options: VerifyOptions = field(default_factory=VerifyOptions)

    def __call__(self, part: Across) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """(`at`, whether each pair was accepted); what cannot be read now is not."""
        plain = [None if thumb is None else View(thumb) for thumb in gray_thumbs(part.records)]
        edited = np.unique(part.place[:, 0])
        rows = part.records.take(pa.array(edited))
        factory = PlantedViews(self.edits, self.seed, self.limits)
        copies = {
            int(edited[row]): [View(thumb) for _, thumb, _ in views]
            for row, views in _views(rows, factory, self.limits)
        }
        accepted = []
        for row, k, other in part.place.tolist():
            views, second = copies.get(row), plain[other]
            if views is None or second is None:
                accepted.append(False)
            else:
                accepted.append(verify(views[k], second, self.options).is_copy)
        return part.at, np.array(accepted, bool)


def _views(
    records: pa.Table, factory: PlantedViews, limits: Limits
) -> Iterator[tuple[int, list[Seen]]]:
    """(row, what is known of it) of the rows that can be read."""
    places: list[int] = []

    def fetched() -> Iterator[tuple[bytes, str]]:
        uris = records["uri"].to_pylist()
        for i, data in enumerate(Fetcher(max_bytes=limits.max_bytes).fetch(records)):
            if not isinstance(data, ImageError):
                places.append(i)
                yield data, uris[i]

    with shared_sandbox(factory, result_types=(Prepared, Geometry)) as sandbox:
        for n, views in enumerate(sandbox.map(fetched())):
            if not isinstance(views, ImageError):
                yield places[n], views
