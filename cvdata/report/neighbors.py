"""A search as a page: the query, and what is nearest to it, in the report's dress."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cvdata.report.display import csv_text
from cvdata.report.inputs import CommitFacts
from cvdata.report.page import assemble
from cvdata.report.section import Section, fill
from cvdata.report.thumbnail import Album, Picture

QUERY = b"query"
"""Under which name the thumbnails have the query's picture."""


@dataclass(frozen=True)
class Hit:
    """One image; `score` is None of the query itself."""

    image_id: bytes
    key: str
    score: float | None = None
    tags: str = ""


@dataclass(frozen=True)
class SearchPage:
    """What a page of a search shows. `query` is None where the question was words."""

    title: str
    commit: CommitFacts
    query: Hit | None
    hits: Sequence[Hit]
    how: str
    notes: Sequence[str]
    thumbs: Mapping[bytes, bytes]


@dataclass(frozen=True)
class Hung:
    """One image as it is shown."""

    key: str
    score: float | None
    tags: str
    picture: Picture | None


def render_search(page: SearchPage) -> str:
    """One HTML document without remote assets; the same input gives the same bytes."""
    album = Album(page.thumbs)
    sections = []
    if page.query is not None:
        hung = [_hang(page.query, album)]
        html = fill(
            "neighbors.html", answer="What was asked for.", how="", notes=(), hung=hung, file="",
            without=0,
        )  # fmt: skip
        sections.append(Section("Query", "query", html))
    hung = [_hang(hit, album) for hit in page.hits]
    html = fill(
        "neighbors.html",
        answer="The nearest images; 1 is the same vector.",
        how=page.how,
        notes=page.notes,
        hung=hung,
        file="neighbors.csv",
        without=sum(one.picture is None for one in hung),
    )
    rows = ((i, hit.score, hit.key, hit.tags) for i, hit in enumerate(page.hits, start=1))
    listing = csv_text(("rank", "score", "path", "label and split"), rows)
    downloads = {"neighbors.csv": listing}
    sections.append(Section("Neighbours", "neighbours", html, downloads=downloads))
    return assemble(page, sections)


def _hang(hit: Hit, album: Album) -> Hung:
    return Hung(hit.key, hit.score, hit.tags, album.picture(hit.image_id))
