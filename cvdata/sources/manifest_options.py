"""The options that CSV, JSON Lines and Parquet have alike: which column means what."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.sources.base import Names, Problems
from cvdata.sources.manifest import (
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    URI_COLUMNS,
    Columns,
    Manifest,
    pick_column,
)
from cvdata.sources.place import Place
from cvdata.sources.references import References


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class ManifestOptions:
    """Fields of a source whose rows name images; a field of a JSON object counts as a column."""

    place: Place
    source_name: str
    uri: Annotated[
        str | None, Field(description=f"column of paths; default: the first of {URI_COLUMNS}")
    ] = None
    label: Annotated[
        str | None, Field(description=f"column of labels; default: the first of {LABEL_COLUMNS}")
    ] = None
    split_column: Annotated[
        str | None, Field(description=f"column of splits; default: the first of {SPLIT_COLUMNS}")
    ] = None
    id: Annotated[str | None, Field(description="column of stable row ids, used as keys")] = None
    boxes: Annotated[
        str | None,
        Field(description='column of boxes: [{"label": …, "xyxy": […]}], or the same as JSON text'),
    ] = None
    mask: Annotated[str | None, Field(description="column of paths of masks")] = None
    extra: Annotated[Names, Field(description="columns kept in extra")] = ()
    split: Annotated[str | None, Field(description="the split of rows without one")] = None
    roots: Annotated[Names, Field(description="other folders that paths may lead into")] = ()
    problems: Problems = Field(default_factory=Problems, init=False)

    def columns(self, present: Sequence[str], uri: str) -> Columns:
        """Which column means what; `ConfigError` where one that is asked for is not present."""
        there = list(present)
        for name in (self.id, self.boxes, self.mask, *self.extra):
            pick_column(name, (), there)
        return Columns(
            uri=uri,
            label=pick_column(self.label, LABEL_COLUMNS, there),
            split=pick_column(self.split_column, SPLIT_COLUMNS, there),
            id=self.id,
            boxes=self.boxes,
            mask=self.mask,
            extra=self.extra,
        )

    def manifest(self, columns: Columns) -> Manifest:
        """What turns the rows into records."""
        references = References(self.place, self.roots)
        return Manifest(references, columns, self.source_name, self.split, self.problems)
