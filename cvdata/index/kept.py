"""An index in a file, and the card that says what is in it, how it was made and what it finds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cvdata.errors import WorkspaceError
from cvdata.index.measured import Measured

CARD_VERSION = 1
METRIC = "inner_product"


@dataclass(frozen=True)
class Card:
    """What is committed beside an index.

    `fingerprint` is that of the embeddings' table, `inputs` the digest of the parts it was built
    from, in commit `computed_from`. `trained_rows`: how many there were when it was trained.
    """

    model: str
    table: str
    fingerprint: str
    inputs: str
    computed_from: int
    dimension: int
    n: int
    factory: str
    why: str
    trained_rows: int
    parameter: str
    effort: int
    measured: Measured
    settings: Mapping[str, Any]
    index_sha256: str
    ids_sha256: str
    size_bytes: int
    faiss: str
    metric: str = METRIC
    version: int = CARD_VERSION

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {**asdict(self), "measured": self.measured.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Card":
        """The card that `to_json` wrote; `WorkspaceError` where it is none of ours."""
        try:
            if value["version"] != CARD_VERSION:
                raise WorkspaceError("the index was written by another version of cvdata")
            return Card(**{**value, "measured": Measured.from_json(value["measured"])})
        except (KeyError, TypeError, ValueError) as error:
            raise WorkspaceError(f"the card of an index is damaged: {error!r}") from error


def faiss_version() -> str:
    """The installed FAISS."""
    import faiss

    return str(faiss.__version__)


def write_index(index: Any, path: Path) -> None:
    """Write it as FAISS does: any FAISS reads it."""
    import faiss

    faiss.write_index(index, str(path))


def read_index(path: Path, card: Card) -> Any:
    """The index in a file whose digest was checked; `WorkspaceError` where it is not the card's.

    The digest comes first: FAISS does not survive every file that is handed to it.
    """
    import faiss

    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise WorkspaceError(f"FAISS cannot read the index: {error}") from error
    found = {"dimension": index.d, "rows": index.ntotal, "metric": index.metric_type}
    wanted = {
        "dimension": card.dimension,
        "rows": card.n,
        "metric": faiss.METRIC_INNER_PRODUCT,
    }
    for name, value in wanted.items():
        if found[name] != value:
            raise WorkspaceError(
                f"the index of {card.model} is not what its card says: {name} {found[name]}, "
                f"not {value}"
            )
    return index
