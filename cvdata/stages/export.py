"""Export: rows of kept images -> the files of one chunk, through a sink."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cvdata.decode.sniff import sniff
from cvdata.errors import ErrorCode, ImageError
from cvdata.image import Limits
from cvdata.sinks.base import ChunkPlace, Facts, Outgoing, Sink
from cvdata.sinks.names import extension_of, stem_of, told_apart
from cvdata.sinks.output import Output
from cvdata.sinks.text import compact
from cvdata.sources.fetch import Fetcher, Want
from cvdata.sources.headers import parse_header
from cvdata.stages.export_fit import Found, drop_infinite, json_object, provenance, resize
from cvdata.stages.export_render import MaskRenderer, Rendered, Renderer, Rendering
from cvdata.stages.isolation import shared_sandbox
from cvdata.stages.isolation_process import Confinement

Row = dict[str, Any]
_KINDS = {
    "JPEG": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "AVIF": "avif",
    "HEIF": "heif",
    "JPEG2000": "jp2",
}


@dataclass
class Exported:
    """What became of a chunk. `images` are JSON lines, `errors` (uri, code, detail)."""

    n_images: int = 0
    n_bytes: int = 0
    n_turned: int = 0
    n_rendered: int = 0
    classes: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    objects: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    errors: list[tuple[str, str, str]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Export:
    """Rows of one chunk -> its files below the target at `url`.

    Rows are those of `runs.export_copies.ROWS` with `weight`. Their bytes go out as they came
    unless `rendering` asks for more; boxes, masks, polygons and keypoints follow a resize.
    `naming` is `name`, `path` or `id`; `unlabeled` the class of what has none where the format
    needs one.
    """

    sink: Sink
    facts: Facts
    rendering: Rendering = field(default_factory=Rendering)
    limits: Limits = field(default_factory=Limits)
    confinement: Confinement = field(default_factory=Confinement)
    naming: str = "name"
    unlabeled: str = ""

    def __call__(
        self, rows: pa.Table, at: ChunkPlace, apart: list[bool], out: Output
    ) -> tuple[Exported, list[str]]:
        """What became of the rows, and the sink's lines. `apart`: which need their id as name."""
        done = Exported()
        known = rows.to_pylist()
        images = self._images(rows, known, apart, done)
        lines = list(self.sink.write(self.facts, at, images, out))
        out.finish()  # what a sink leaves out is known when its files are written
        done.left_out.update({what: n for what, n in out.notes.items() if n})
        return done, lines

    def _images(
        self, rows: pa.Table, known: list[Row], apart: list[bool], done: Exported
    ) -> Iterator[Outgoing]:
        fetched = self._fetched(rows)
        with closing(Fetcher(max_bytes=self.limits.max_bytes)) as masks:
            for i, found in self._rendered(known, fetched):
                row = known[i]
                try:
                    if isinstance(found, ImageError):
                        raise found
                    image = self._outgoing(row, apart[i], found, done)
                    if image.record["mask_uri"] is not None:
                        self._add_mask(image, found, masks, done)
                except ImageError as error:
                    done.errors.append((row["uri"], str(error.code), error.detail))
                    continue
                self._count(image, done)
                yield image

    def _fetched(self, rows: pa.Table) -> Iterator[bytes | ImageError]:
        if not self.sink.places.needs_bytes:
            return iter([b""] * len(rows))
        return Fetcher(max_bytes=self.limits.max_bytes).fetch(rows)

    def _rendered(
        self, rows: list[Row], fetched: Iterator[bytes | ImageError]
    ) -> Iterator[tuple[int, "Found | ImageError"]]:
        """Each row's bytes with what is known of them, in order; some pass through the sandbox."""
        seen = ((i, self._seen(rows[i], data)) for i, data in enumerate(fetched))
        if not (self.rendering.is_asked and self.sink.places.needs_bytes):
            yield from seen
            return
        waiting: deque[tuple[int, Found | ImageError]] = deque()

        def dangerous() -> Iterator[tuple[bytes, str]]:
            for i, found in seen:
                waiting.append((i, found))
                if isinstance(found, Found) and found.is_touched:
                    yield found.data, rows[i]["uri"]

        with shared_sandbox(Renderer(self.rendering, self.limits), limits=self.confinement) as box:
            for result in box.map(dangerous()):
                while True:
                    i, found = waiting.popleft()
                    if isinstance(found, Found) and found.is_touched:
                        break
                    yield i, found
                if isinstance(result, ImageError):
                    yield i, result
                else:
                    found.rendered = Rendered(*result)  # type: ignore[arg-type]
                    yield i, found
        yield from waiting

    def _seen(self, row: Row, data: bytes | ImageError) -> "Found | ImageError":
        """Header and format, where they are needed."""
        if isinstance(data, ImageError):
            return data
        if not self.sink.places.needs_bytes:
            return Found(data)
        if row["sha256"] is not None and hashlib.sha256(data).digest() != row["sha256"]:
            return ImageError(ErrorCode.CHANGED, "not the bytes that augment wrote")
        found = Found(data)
        places = self.sink.places
        if places.needs_size or row["boxes"] or self.rendering.is_asked:
            try:
                found.stored = parse_header(data)
            except ValueError as error:
                if not data:
                    return ImageError(ErrorCode.EMPTY)
                if places.needs_size and not self.rendering.is_asked:
                    return ImageError(ErrorCode.CORRUPT, str(error))
        if self.rendering.is_asked:
            stored = found.stored
            found.is_touched = stored is None or self.rendering.touches(stored, sniff(data) or "")
        return found

    def _outgoing(self, row: Row, is_apart: bool, found: "Found", done: Exported) -> Outgoing:
        data, extension = found.data, extension_of(row["key"])
        if found.rendered is not None:
            data = found.rendered.data
            extension = self.rendering.extension_for(extension, found.rendered.encoded)
        if not extension:
            extension = _KINDS.get(sniff(data) or "", "bin") if data else ""
        width, height = found.size
        image = Outgoing(
            image_id=row["image_id"],
            stem=self._stem(row, is_apart),
            extension=extension,
            data=data,
            split=row["split"],
            label=row["label"],
            labels=[(p["label"], p["weight"]) for p in row["labels"]] if row["labels"] else None,
            boxes=row["boxes"],
            extra=json_object(row["extra"]),
            width=width,
            height=height,
            weight=row["weight"],
            record=row,
        )
        self._fit(image, found, done)
        return image

    def _stem(self, row: Row, is_apart: bool) -> str:
        if self.naming == "id":
            return str(row["image_id"].hex())
        is_member = row["offset"] is not None
        unsafe = self.sink.places.unsafe
        stem, _ = stem_of(row["key"], self.naming, is_member=is_member, unsafe=unsafe)
        return told_apart(stem, row["image_id"]) if is_apart else stem

    def _fit(self, image: Outgoing, found: "Found", done: Exported) -> None:
        """Boxes, masks and labels as the format takes them; what it has no place for is counted."""
        places = self.sink.places
        if found.rendered is None and found.stored is not None and found.stored.orientation != 1:
            done.n_turned += 1
        done.n_rendered += found.rendered is not None
        done.left_out["boxes that are no numbers"] += drop_infinite(image)
        resize(image, found)
        if places.needs_label and image.label is None:
            image.label = self.unlabeled
        elif not places.label and image.label is not None:
            image.label = None
            done.left_out["labels of images"] += 1
        if not places.boxes and image.boxes:
            done.left_out["boxes"] += len(image.boxes)
        if not places.boxes:
            image.boxes = None
        if self.unlabeled and image.boxes:
            image.boxes = [
                {**box, "label": self.unlabeled if box["label"] is None else box["label"]}
                for box in image.boxes
            ]

    def _add_mask(self, image: Outgoing, found: "Found", masks: Fetcher, done: Exported) -> None:
        if not self.sink.places.masks:
            done.left_out["masks"] += 1
        elif self.sink.places.needs_bytes:
            image.mask = self._mask(image.record["mask_uri"], found, masks)

    def _mask(self, uri: str, found: "Found", masks: Fetcher) -> tuple[bytes, str]:
        """The mask's file; resized where the image was."""
        try:
            data = masks.read(Want(uri, None, None, ""))
        except ImageError as error:
            raise ImageError(error.code, f"its mask: {error.detail}") from error
        rendered = found.rendered
        if rendered is None or rendered.before == rendered.after:
            kind = extension_of(uri.encode()) or _KINDS.get(sniff(data) or "", "png")
            return data, kind.lower()
        width, height = rendered.after
        with shared_sandbox(MaskRenderer(self.limits), limits=self.confinement) as box:
            (result,) = box.map([(data, f"{width}x{height}")])
        if isinstance(result, ImageError):
            raise result
        return result, "png"

    def _count(self, image: Outgoing, done: Exported) -> None:
        if self.sink.places.needs_bytes:
            done.images.append(compact(provenance(image)))
        done.n_images += 1
        done.n_bytes += len(image.data)
        done.classes[image.split, image.label] += 1
        for box in image.boxes or ():
            done.objects[image.split, box["label"]] += 1
