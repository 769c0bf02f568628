"""The generated page is fresh."""

from pathlib import Path

from cvdata.measures import MEASURES
from cvdata.measures.doc import page

PAGE = Path(__file__).parents[2] / "docs" / "measures.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "stale: python -m cvdata.measures.doc > docs/measures.md"
    )


def test_the_page_names_every_column() -> None:
    text = page()
    for measure in MEASURES:
        assert f"## {measure.name}" in text
        for field in measure.fields:
            assert f"| `{field.name}` | {field.dtype} |" in text
