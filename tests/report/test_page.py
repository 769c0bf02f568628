"""The page as a whole: self-contained, locked by its CSP, well-formed, the same every time."""

import base64
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from reading import Page

from cvdata.report import ReportInput, Section, render
from cvdata.report.page import SECTIONS
from cvdata.report.questions import QUESTIONS
from cvdata.report.section import fill

PAGE_LIMIT = 12_000_000


@pytest.fixture(scope="module")
def parsed(page: str) -> Page:
    return Page.of(page)


def policy(parsed: Page) -> dict[str, list[str]]:
    meta = [e for e in parsed.all("meta") if e.attributes.get("http-equiv")]
    assert [e.attributes["http-equiv"] for e in meta] == ["Content-Security-Policy"]
    directives = [part.split() for part in meta[0].attributes["content"].split(";")]
    return {words[0]: words[1:] for words in directives}


def test_same_input_same_bytes(data: ReportInput, page: str) -> None:
    assert render(data) == page


def test_is_one_well_formed_document(parsed: Page) -> None:
    assert parsed.declarations == ["doctype html"]
    for once in ("html", "head", "title", "body", "main", "h1", "nav", "header", "footer"):
        found = parsed.all(once)
        if once == "title":
            found = found[:1] + [e for e in found[1:] if e.text.count("cvdata report")]
        assert len(found) == 1, once
    ids = [e.attributes["id"] for e in parsed.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)


def test_every_reference_on_the_page_leads_somewhere(parsed: Page) -> None:
    ids = {e.attributes["id"] for e in parsed.elements if "id" in e.attributes}
    links = [e.attributes["href"] for e in parsed.elements if "href" in e.attributes]
    assert links
    assert [link for link in links if link[:1] != "#" or link[1:] not in ids] == []
    urls = [u for e in parsed.elements for u in re.findall(r"url\(#([^)]+)\)", str(e.attributes))]
    assert set(urls) <= ids
    assert {e.attributes["aria-labelledby"] for e in parsed.all("section")} <= ids


def test_nothing_is_loaded_from_anywhere(page: str, parsed: Page) -> None:
    assert not parsed.all("link", "iframe", "object", "embed", "base", "form", "video", "audio")
    sources = [e.attributes["src"] for e in parsed.elements if "src" in e.attributes]
    assert sources
    assert all(re.match(r"data:image/(jpeg|webp);base64,", source) for source in sources)
    assert not any("srcset" in e.attributes for e in parsed.elements)
    style = parsed.all("style")[0].text
    assert "@import" not in style
    assert "url(" not in style
    assert not re.findall(r"https?://(?!www\.w3\.org)", page)


def test_policy_allows_exactly_the_inline_assets(page: str, parsed: Page) -> None:
    allowed = policy(parsed)
    assert allowed["default-src"] == ["'none'"]
    assert allowed["img-src"] == ["data:"]
    assert "unsafe" not in str(allowed)
    for directive, tag in (("style-src", "style"), ("script-src", "script")):
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(b.encode()).digest()).decode() for b in blocks]
        assert allowed[directive] == [f"'sha256-{digest}'" for digest in digests]
    first_asset = min(page.index("<style"), page.index("<script"))
    assert page.index("Content-Security-Policy") < first_asset


def test_policy_would_block_nothing_that_is_there(parsed: Page) -> None:
    for element in parsed.elements:
        assert "style" not in element.attributes, element
        assert not [name for name in element.attributes if name.startswith("on")], element


def test_embedded_json_parses_and_serves_every_button(parsed: Page) -> None:
    scripts = [e for e in parsed.all("script") if e.attributes.get("type") == "application/json"]
    assert len(scripts) == 1
    assert not set("<>&") & set(scripts[0].text)
    downloads = json.loads(scripts[0].text)["downloads"]
    buttons = [
        e.attributes["data-download"] for e in parsed.elements if "data-download" in e.attributes
    ]
    assert set(buttons) == set(downloads)
    assert "errors.csv" in downloads
    assert downloads["errors.csv"].count("\r\n") == 3


def test_every_question_has_a_figure(data: ReportInput, page: str) -> None:
    for question in QUESTIONS:
        part = section(page, question.key)
        assert part.count("<svg viewBox") == part.count("<figure") >= 1, question.key
        assert part.count('class="scroll"') == part.count("<figure")
        answer = next(q for q in data.answers["questions"] if q["key"] == question.key)
        assert answer["question"] in Page.of(part).elements[0].text


def test_a_question_without_data_says_what_it_needs(data: ReportInput) -> None:
    bare = render(dataclasses.replace(data, tables={}, answers={}, thumbs={}))
    Page.of(bare)
    for question in QUESTIONS:
        part = section(bare, question.key)
        assert "<figure" not in part
        assert question.needs in part


def test_an_empty_dataset_renders() -> None:
    from cvdata.report import CommitFacts

    empty = render(ReportInput("Nothing", CommitFacts(0, "ingest", ""), 0, 0))
    assert "nothing to report yet" in Page.of(empty).text


def test_the_law_is_shown_and_a_breach_is_shouted(data: ReportInput, page: str) -> None:
    assert "do not add up" not in page
    law = section(page, "overview")
    terms = re.findall(r"<b>([\d,]+)</b><span>(?:<a [^>]*>)?(\w+)<", law)
    shown = {label: int(n.replace(",", "")) for n, label in terms}
    total = shown.pop("records")
    assert total == data.n_records == sum(shown.values())
    assert shown == {"ok": data.n_ok, **data.errors}
    broken = dataclasses.replace(data, n_ok=data.n_ok - 3, tables={}, thumbs={})
    assert "do not add up: 3 of 51" in " ".join(Page.of(render(broken)).text.split())


def test_every_error_is_named(data: ReportInput, page: str) -> None:
    for row in data.error_rows.to_pylist():
        assert row["key"].decode() in section(page, "errors")


def test_pictures_are_named_and_sized(parsed: Page) -> None:
    assert parsed.all("img")
    for image in parsed.all("img"):
        assert {"alt", "width", "height"} <= image.attributes.keys()
    for svg in parsed.all("svg"):
        assert svg.attributes.get("aria-label") or svg.attributes.get("aria-hidden") == "true"


def test_headings_do_not_skip_a_level(parsed: Page) -> None:
    levels = [int(e.tag[1]) for e in parsed.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_matplotlib_is_only_imported_to_draw() -> None:
    check = "import sys, cvdata.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_size_budget(page: str) -> None:
    assert len(page.encode()) < PAGE_LIMIT
    for svg in re.findall(r"<svg viewBox=.*?</svg>", page, re.DOTALL):
        assert len(svg) < 60_000


def test_a_section_needs_only_a_title_an_anchor_and_html(data: ReportInput) -> None:
    """What a later job adds: a function from the input to sections, and its name in SECTIONS."""
    html = fill("empty.html", what="None <found>.", add="")
    made = Section("Leaks", "leaks", html)
    assert (made.part, made.number, dict(made.downloads)) == ("", "", {})
    assert "None &lt;found&gt;." in made.html
    names = [build(dataclasses.replace(data, tables={}, thumbs={})) for build in SECTIONS]
    assert all(isinstance(one, Section) for some in names for one in some)


def section(page: str, anchor: str) -> str:
    start = page.index(f'<section id="{anchor}"')
    return page[start : page.index("</section>", start) + len("</section>")]
