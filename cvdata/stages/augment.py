"""Augment: fetch parents and partners, augment them in the sandbox, write images, give rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from cvdata.augment import AUGMENT_VERSION, Policy
from cvdata.errors import ErrorCode, ImageError
from cvdata.image import DECODE_VERSION
from cvdata.schema_augmented import AUGMENTED
from cvdata.stages.augment_rows import Known, failed_row, made_row
from cvdata.stages.augmenter import Augmenter, Made, Making
from cvdata.stages.base import Resources
from cvdata.stages.fetch_scenes import fetched_scenes
from cvdata.stages.isolation import shared_sandbox
from cvdata.stages.isolation_process import Confinement
from cvdata.stages.predict import limits_text
from cvdata.storage import Store, digest

WRITERS = 8
"""Files being written at once: a write waits for the disk or the store, not for the CPU."""
VARIANTS_AT_ONCE = 4
"""Variants of a parent in one order: the time limit is an order's."""


@dataclass(frozen=True)
class Recipe:
    """All that decides what a copy of an image looks like, besides the image and its partners."""

    making: Making
    seed: int = 0
    generation: int = 0

    @property
    def policy(self) -> str:
        """The policy's name."""
        return self.making.policy

    @property
    def built(self) -> Policy:
        """The policy; `ConfigError` where it cannot be built."""
        return self.making.built

    @property
    def source(self) -> str:
        """The source's name that gives the copies their ids; the table's name too."""
        return f"augmented/{self.policy}"

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of it all; the policy's name is in it, because ids are made of it."""
        making = self.making
        lines = [
            f"augment {AUGMENT_VERSION} decode {DECODE_VERSION} {limits_text(making.limits)}",
            f"{self.policy} {self.built.fingerprint} {self.seed} {making.min_visible!r}",
            f"{making.encoding.format} {making.encoding.quality} {self.generation or ''}",
        ]
        return digest("\n".join(lines).encode())


@dataclass(frozen=True)
class Gallery:
    """Where copies are written: files below `folder` of `store`, named by their content.

    They outlast a power cut once `settle` has returned, which comes before their rows are written.
    """

    store: Store
    folder: str

    def put(self, data: bytes, suffix: str) -> tuple[str, bytes]:
        """(uri, sha256) of the file; one that is there already is not written again."""
        name = digest(data)
        path = f"{self.folder}/{name[:2]}/{name}{suffix}"
        self.store.put_content(path, data)
        return self.uri(path), bytes.fromhex(name)

    def settle(self) -> None:
        """Wait until the files are where nothing can lose them."""
        self.store.settle()

    def uri(self, path: str) -> str:
        """The uri of a path below the store."""
        from cvdata.sources.uris import encode_path

        if self.store.is_local:
            return encode_path(self.store.path(path).encode())
        return str(self.store.fs.unstrip_protocol(self.store.path(path)))


@dataclass(frozen=True)
class Augment:
    """Tasks and the records they speak of -> rows of `augmented`, images written.

    Tasks: image_id, revision, parent_id, variant, seed, split, partners. Each image is fetched
    once, however many tasks it is in.
    """

    recipe: Recipe
    gallery: Gallery
    confinement: Confinement = field(default_factory=Confinement)
    resources: Resources = field(default_factory=Resources)

    def __call__(self, tasks: pa.Table, images: pa.Table) -> pa.Table:
        """One row a task, in the order of the tasks. What changed while it was read is retried."""
        rows = tasks.to_pylist()
        known = Known(images)
        done = self._pass(rows, known)
        again = [i for i, row in enumerate(done) if row["error"] == ErrorCode.CHANGED]
        for i, row in zip(again, self._pass([rows[i] for i in again], known), strict=True):
            done[i] = row
        return pa.Table.from_pylist(done, schema=AUGMENTED)

    def _pass(self, tasks: Sequence[Mapping[str, Any]], known: Known) -> list[dict[str, Any]]:
        """Files are written while the next copies are made; all are when this returns."""
        rows: list[Future[dict[str, Any]] | None] = [None] * len(tasks)
        with ThreadPoolExecutor(WRITERS, "cvdata-gallery") as writers:
            for places, outcome in self.made(tasks, known):
                for place, made in zip(places, outcome, strict=True):
                    rows[place] = writers.submit(self._row, tasks[place], made, known)
        return [row.result() for row in rows if row is not None]

    def _row(self, task: Mapping[str, Any], made: Made, known: Known) -> dict[str, Any]:
        if "error" in made:
            return failed_row(task, self.recipe.policy, made["error"], made["detail"])
        uri, sha256 = self.gallery.put(made["image"], self.recipe.making.encoding.suffix)
        mask = None if made["mask"] is None else self.gallery.put(made["mask"], ".png")[0]
        files = {
            "uri": uri,
            "sha256": sha256,
            "size_bytes": len(made["image"]),
            "mask_uri": mask,
        }
        return made_row(task, self.recipe.policy, made, known) | files

    def made(
        self, tasks: Sequence[Mapping[str, Any]], known: Known
    ) -> Iterator[tuple[list[int], list[Made]]]:
        """(places among the tasks, copies made there), order by order."""
        orders = list(_orders(tasks))
        sent: list[list[int]] = []

        def items() -> Iterator[tuple[bytes, str]]:
            wanted = [_images(tasks, places) for places in orders]
            fetched = fetched_scenes(wanted, known, self.recipe.making.limits)
            for places, scenes in zip(orders, fetched, strict=True):
                sent.append(places)
                yield self._order(tasks, places, scenes)

        with shared_sandbox(Augmenter(), limits=self.confinement) as sandbox:
            for n, outcome in enumerate(sandbox.map(items())):
                places = sent[n]
                if isinstance(outcome, ImageError):
                    bad: Made = {"error": str(outcome.code), "detail": outcome.detail}
                    yield places, [bad] * len(places)
                else:
                    yield places, outcome

    def _order(
        self,
        tasks: Sequence[Mapping[str, Any]],
        places: Sequence[int],
        scenes: Sequence[tuple[dict[str, Any], bytes]],
    ) -> tuple[bytes, str]:
        """The blob and the JSON of an order."""
        at = {one: n for n, one in enumerate(_images(tasks, places))}
        variants = [
            {"seed": tasks[i]["seed"], "partners": [at[p] for p in tasks[i]["partners"]]}
            for i in places
        ]
        order = {
            "making": self.recipe.making.text,
            "images": [entry for entry, _ in scenes],
            "variants": variants,
        }
        return b"".join(data for _, data in scenes), json.dumps(order, separators=(",", ":"))


def _orders(tasks: Sequence[Mapping[str, Any]]) -> Iterator[list[int]]:
    """Places of tasks of one parent that stand together, at most VARIANTS_AT_ONCE."""
    held: list[int] = []
    for place, task in enumerate(tasks):
        is_other = held and task["parent_id"] != tasks[held[0]]["parent_id"]
        if is_other or len(held) == VARIANTS_AT_ONCE:
            yield held
            held = []
        held.append(place)
    if held:
        yield held


def _images(tasks: Sequence[Mapping[str, Any]], places: Sequence[int]) -> list[bytes]:
    """The images of an order: the parent first, then each partner once."""
    partners = [p for i in places for p in tasks[i]["partners"]]
    return list(dict.fromkeys([tasks[places[0]]["parent_id"], *partners]))
