"""`cvdata search`: the images nearest to a file, to an image of the workspace, or to words."""

import json
import sys
from pathlib import Path

import pyarrow as pa
from pydantic import AliasChoices, ConfigDict, Field
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cvdata.errors import ConfigError, printable
from cvdata.kernels.neighbors import F32
from cvdata.models import Task
from cvdata.models.rows import segment
from cvdata.report.inputs import CommitFacts
from cvdata.report.neighbors import QUERY, Hit, SearchPage, render_search
from cvdata.runs.index_rows import dimension_of
from cvdata.runs.infer import ModelSettings
from cvdata.runs.limits import ImageLimits
from cvdata.runs.report import thumbnails
from cvdata.runs.search import (
    Encoder,
    Found,
    Neighbor,
    file_record,
    image_vector,
    records_of,
    search,
)
from cvdata.schema import ID
from cvdata.workspace import Workspace

PIPED_WIDTH = 400
"""Characters of a line that no terminal wraps."""


class Search(ModelSettings):
    """Find the images nearest to one image, or to words, by their embeddings.

    One of --image, --image-id, --text. The model must be the one that made the embeddings, with
    the same weights and parameters.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    workspace: str
    """Folder of the results: a path, s3://, gs:// or abfs:// URL."""
    config: str | None = None
    """YAML file with any of these options; flags win over it."""
    model: str = "default"
    """The model, as `cvdata infer --model` was given it."""
    limits: ImageLimits = ImageLimits()
    """What is decoded at all, as `cvdata infer` was given it."""
    image: str | None = None
    """A file to look for."""
    image_id: str | None = None
    """Hex id of an image of the workspace; itself is left out."""
    text: str | None = None
    """Words, where the model has a text tower."""
    top_k: int = Field(10, ge=1, le=10_000, validation_alias=AliasChoices("top_k", "k"))
    """How many images."""
    min_score: float = Field(-1.0, ge=-1, le=1)
    """Leave out what has a smaller cosine to the query; 1 is the same vector."""
    exact: bool = False
    """Compare with every vector, whatever index there is."""
    as_json: bool = Field(False, validation_alias=AliasChoices("json", "as_json"))
    """Print JSON."""
    html: Path | None = None
    """Write a page with thumbnails, complete in itself."""

    def run(self) -> None:
        """Search, and print what was found."""
        asked = [v for v in (self.image, self.image_id, self.text) if v is not None]
        if len(asked) != 1:
            raise ConfigError("give one of --image, --image-id, --text")
        workspace = Workspace(self.workspace)
        if not workspace.head.seq:
            raise ConfigError(f"{self.workspace}: nothing is committed here yet")
        name = segment(self.table or self.model)
        dimension_of(workspace.store, workspace.head, f"embeddings/{name}")
        own = _image_id(self.image_id) if self.image_id is not None else b""
        query = self._vector(workspace, name, own)
        found = search(workspace, name, query, self.top_k, own=own, is_exact=self.exact)
        found = found.above(self.min_score)
        if self.as_json:
            print(json.dumps(found.to_json(), indent=1))
        else:
            _print(found)
        if self.html is not None:
            self._write_page(workspace, found, own)

    def _vector(self, workspace: Workspace, name: str, own: bytes) -> F32:
        head = workspace.head
        if own:
            return image_vector(workspace.store, head, f"embeddings/{name}", own)
        request = (self.model, name, self.options(Task.EMBED))
        encoder = Encoder.of(head, self.workspace, request, self.limits.build())
        if self.image is not None:
            return encoder.image(self.image)
        return encoder.text(self.text or "")

    def _name(self, rows: pa.Table) -> str:
        """What the page calls the query: of a file from outside its name alone."""
        return _path(rows) if self.image is None else Path(self.image).name

    def _write_page(self, workspace: Workspace, found: Found, own: bytes) -> None:
        head = workspace.head
        rows, title = None, f"“{self.text}”"
        if self.image is not None:
            rows, title = file_record(self.image), f"Like {Path(self.image).name}"
        elif own:
            rows = records_of(workspace.store, head, [own])
            title = f"Like {_path(rows).rpartition('/')[2]}"
        thumbs = dict(thumbnails(found.records))
        for _, thumb in thumbnails(rows) if rows is not None else ():
            thumbs[QUERY] = thumb
        page = SearchPage(
            title,
            CommitFacts(head.seq, head.job, head.created),
            None if rows is None else Hit(QUERY, self._name(rows)),
            [Hit(bytes.fromhex(n.image_id), n.path, n.score, _tags(n)) for n in found.neighbors],
            found.how,
            found.notes,
            thumbs,
        )
        if self.html is not None:
            self.html.parent.mkdir(parents=True, exist_ok=True)
            self.html.write_text(render_search(page), encoding="utf-8")
            print(f"page: {self.html}", file=sys.stderr)


def _image_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != ID.byte_width:
        raise ConfigError(f"--image-id takes 32 hexadecimal digits, not {text!r}")
    return found


def _path(records: pa.Table) -> str:
    return str(records["key"][0].as_py().decode("utf-8", "backslashreplace"))


def _tags(one: Neighbor) -> str:
    return " · ".join(text for text in (one.label, one.split) if text)


def _print(found: Found) -> None:
    table = Table(box=None, header_style="bold")
    for name in ("", "score", "path", "label", "split", "image_id"):
        table.add_column(name, overflow="fold")
    for one in found.neighbors:
        cells = (one.path, one.label or "", one.split or "")
        table.add_row(
            str(one.rank),
            f"{one.score:.4f}",
            *(escape(printable(cell, 1000)) for cell in cells),
            one.image_id,
        )
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    if found.neighbors:
        console.print(table)
    for note in found.notes:
        console.print(escape(note))
    console.print(escape(f"{len(found.neighbors)} images by {found.how}"), highlight=False)
