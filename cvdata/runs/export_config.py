"""What an export is told, besides where to and in which format."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from cvdata.config import Frozen
from cvdata.runs.export import ExportOptions
from cvdata.runs.export_look import PlanOptions
from cvdata.runs.limits import ImageLimits
from cvdata.sinks import open_sink
from cvdata.stages.export_render import Rendering
from cvdata.stages.isolation_process import Confinement


class ExportSettings(Frozen):
    """Names, classes, pixels, shards."""

    names: Literal["name", "path", "id"] = "name"
    """Files are called by the last part of the key, by all of it, or by the image's id."""
    classes: list[str] = Field([])
    """Class names in the order of their numbers; all that occur, sorted, where not given."""
    unlabeled: str = ""
    """Class of images or boxes without one, where the format needs one."""
    misfits: Literal["error", "skip"] = "error"
    """Images that the format cannot hold stop the run, or are left out and counted."""
    encode: Literal["", "jpeg", "png", "webp"] = ""
    """Write images of another format anew as this one."""
    quality: int = Field(95, ge=1, le=100)
    """Of JPEG and WebP that are written anew."""
    max_side: int = Field(0, ge=0)
    """Shrink images whose longest side is larger; boxes, masks and keypoints follow. 0: none."""
    upright: bool = False
    """Write images with an EXIF orientation anew, turned."""
    encode_all: bool = False
    """Write every image anew, also those that are already as they are asked for."""
    shard_rows: int = Field(10_000, ge=1)
    """Images a shard (a chunk of files where the format has no shards) at most."""
    shard_bytes: int = Field(256 * 1024 * 1024, ge=1)
    """Bytes of images a shard, about."""
    shuffle: int | None = None
    """Seed of an order that is mixed; not given: the order of the sources."""
    augmented: list[str] = Field([])
    """Policies whose copies (`cvdata augment`) go out beside the images that they were made of."""
    title: str = ""
    """Heading of the card."""
    licence: str = ""
    """What the card says of the licence."""
    replace: bool = False
    """Delete an earlier export in TO first."""
    limits: ImageLimits = ImageLimits()
    """What is decoded at all, where images are written anew."""
    max_error_rate: float = Field(0.05, ge=0, le=1)
    """Finish nothing (exit 6) when a larger share of the images fails."""
    warn_error_rate: float = Field(0.0, ge=0, le=1)
    """Exit with 3 when a larger share of the images fails."""
    isolate: bool = False
    """Decode in short-lived children with tighter limits: for hostile sources."""

    def options(
        self,
        target: str,
        format: str,  # noqa: A002
        sink_options: Mapping[str, str],
    ) -> ExportOptions:
        """As the run takes them."""
        return ExportOptions(
            target,
            format,
            open_sink(format, sink_options),
            PlanOptions(
                self.names,
                self.unlabeled,
                tuple(self.classes),
                self.misfits,
                self.shard_rows,
                self.shard_bytes,
                self.shuffle,
                tuple(self.augmented),
            ),
            Rendering(self.encode, self.quality, self.max_side, self.upright, self.encode_all),
            self.limits.build(),
            Confinement(isolate=self.isolate),
            self.max_error_rate,
            self.title,
            self.licence,
            self.replace,
        )
