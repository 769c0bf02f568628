"""Names, labels and texts of the input can say nothing but text."""

import csv
import dataclasses
import io
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import Page

from cvdata.report import ReportInput, render
from cvdata.report.charts import bars
from cvdata.report.display import csv_text, name
from cvdata.report.page import embedded_json

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<!--<script>",
    "]]><script>alert(1)</script>",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert(1)",
    "&lt;script&gt;&#x3c;script&#x3e;",
    "$\\frac{1}{0}$ $x",
    "a\u202egpj.exe\u2066\u200f",
    "new\nline\rreturn\x00nul\x1b[31m\u2028\u2029",
    "\ud800 lone surrogate",
    '=HYPERLINK("http://evil")',
    "漢字かな😀",
)
TEXT = [text for text in HOSTILE if text.isascii() or "漢" in text]


def poisoned(data: ReportInput, text: str) -> ReportInput:
    """`data` with `text` wherever the input can put text of its own."""
    storable = text.encode("utf-8", "replace").decode()
    raw = text.encode("utf-8", "surrogatepass")

    def column(table: pa.Table, field: str, value: object) -> pa.Table:
        at = table.schema.get_field_index(field)
        kind = table.schema.field(field)
        return table.set_column(at, kind, pa.array([value] * table.num_rows, kind.type))

    records = column(column(data.records, "key", raw), "label", storable)
    errors = column(column(data.error_rows, "key", raw), "error_detail", storable)
    counts = data.tables["counts"].filter(pa.compute.equal(data.tables["counts"]["field"], "label"))
    answers = [{**q, "answer": storable} for q in data.answers["questions"]]
    return dataclasses.replace(
        data,
        title=storable,
        records=records,
        error_rows=errors,
        tables={"counts": column(counts, "value", storable)},
        answers={"questions": answers},
        statistics={storable: storable},
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(data: ReportInput, text: str) -> None:
    clean = Page.of(render(dataclasses.replace(data, tables={})))
    html = render(poisoned(data, text))
    page = Page.of(html)
    for tag in ("script", "style", "img", "meta", "iframe"):
        assert len(page.all(tag)) == len(clean.all(tag)), tag
    for element in page.elements:
        assert not [a for a in element.attributes if a.startswith("on")], element
        assert not element.attributes.get("href", "#").lower().startswith("javascript")
    for char in "\u202e\u2066\u200f\x00\x1b\u2028\u2029\r":
        assert char not in html
    assert name(text.encode("utf-8", "surrogatepass")) in page.text


@pytest.mark.parametrize("text", TEXT)
def test_plots_show_text_as_it_is(text: str) -> None:
    """No mathtext, no markup: what stands in the SVG is the label."""
    svg = Page.of(str(bars("k", text, [(text, 3), ("other", 1)]).svg))
    assert any(name(text, 20) == e.text for e in svg.all("text"))
    assert {e.tag for e in svg.elements} <= {
        "svg",
        "g",
        "title",
        "path",
        "text",
        "defs",
        "use",
        "clippath",
        "rect",
    }


@given(st.text())
def test_names_are_printable_and_short(text: str) -> None:
    shown = name(text, 40)
    assert len(shown) <= 40
    assert shown.isprintable()


@given(
    st.text(
        alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\xa0")
    )
)
def test_printable_names_are_not_changed(text: str) -> None:
    if text.isprintable():
        assert name(text, max(len(text), 1)) == text


@given(st.binary(max_size=60))
def test_raw_bytes_have_distinct_names(raw: bytes) -> None:
    """An undecodable byte is shown by its value, so no two keys look alike by being undecodable."""
    assert name(raw, 1000).isprintable()
    if not all(byte < 0x80 for byte in raw) and name(raw, 1000).isascii():
        assert "\\" in name(raw, 1000)


@given(st.recursive(st.text() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_embedded_json_reads_back_and_cannot_be_left(value: object) -> None:
    text = str(embedded_json(value))
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False))))
def test_no_csv_cell_is_a_formula(rows: list[tuple[str, float]]) -> None:
    text = csv_text(("key", "severity"), rows)
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert len(read) == len(rows) + 1
    for (key, number), (cell, written) in zip(rows, read[1:], strict=True):
        assert cell in (key, "'" + key)
        assert cell.strip()[:1] not in set("=+-@")
        assert float(written) == number
