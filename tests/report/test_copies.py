"""Copies, leaks and label conflicts: all of it counted, some of it shown, none of it obeyed."""

import csv
import dataclasses
import io

import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from reading import Page
from test_hostile import HOSTILE

from cvdata.report import (
    CONFLICT_ROWS,
    GROUP_ROWS,
    DuplicateFacts,
    MethodFacts,
    ReportInput,
    conflicts,
    duplicates,
    gallery,
    leaks,
    overview,
    render,
    shown_images,
)
from cvdata.report.display import name
from cvdata.report.findings import findings
from cvdata.report.sets import SHOWN, TILES, alike, fitting
from cvdata.report.thumbnail import PAGE_BUDGET
from cvdata.schema import LEAKS

SIZES = (17, 9, 4, *[2] * 8)
HOW = ("exact_sha256", "exact_pixels", "perceptual", "dihedral", "semantic", "any")


def group_rows(ids: list[bytes], sizes: tuple[int, ...] = SIZES) -> list[dict[str, object]]:
    """Groups of these sizes, the images taken in turn; at most `TILES` rows of each."""
    rows: list[dict[str, object]] = []
    at = 0
    for size in sizes:
        group = [ids[(at + i) % len(ids)] for i in range(size)]
        at += size
        rows += [
            {
                "group_id": group[0] + b"",
                "size": size,
                "image_id": one,
                "is_keeper": i == 0,
                "method": HOW[i % len(HOW)],
                "distance": 0.25 * i,
            }
            for i, one in enumerate(group[:TILES])
        ]
    return rows


@pytest.fixture(scope="session")
def found(data: ReportInput) -> ReportInput:
    """`data` after the dedup job: eleven groups, thirty leaks of 41, three conflicts."""
    ids = list(data.thumbs)
    pairs = [(ids[i], ids[(i + 7) % len(ids)]) for i in range(30)]
    conflict = {"group_id": ids[0], "kind": "label", "size": 3, "majority": "tram"}
    boxes = {"group_id": ids[0], "kind": "boxes", "size": 2, "majority": None, "is_majority": False}
    tie = {**boxes, "group_id": ids[6], "kind": "label"}
    facts = DuplicateFacts(
        methods=(
            MethodFacts("any", 60, len(SIZES), sum(SIZES) - len(SIZES), 0, None, (23, 12, 4), 5),
            MethodFacts("semantic", 9, 4, 5, 2, 0.953, (3,), 0),
            MethodFacts("exact_sha256", 3, 3, 3),
        ),
        n_images=49,
        n_verified=44,
        n_turned_down=6,
        sizes={2: 8, 4: 1, 9: 1, 17: 1},
        groups=pa.Table.from_pylist(group_rows(ids), schema=GROUP_ROWS),
        splits={"test": 13, "train": 38},
        leaking={"test": 11, "train": 21},
        leak_counts={("test", "train"): 41},
        leaks=pa.Table.from_pylist(
            [
                {"id_a": a, "id_b": b, "split_a": "test", "split_b": "train"}
                | {"method": "perceptual", "distance": float(i // 6)}
                for i, (a, b) in enumerate(pairs)
            ],
            schema=LEAKS,
        ),
        conflict_counts={"label": 2, "boxes": 1},
        n_conflicting=5,
        conflicts=pa.Table.from_pylist(
            [
                {**conflict, "image_id": ids[0], "value": "tram", "is_majority": True},
                {**conflict, "image_id": ids[1], "value": "tram", "is_majority": True},
                {**conflict, "image_id": ids[2], "value": "heron", "is_majority": False},
                {**boxes, "image_id": ids[4], "value": "car×2"},
                {**boxes, "image_id": ids[5], "value": None},
                {**tie, "image_id": ids[6], "value": "tram"},
                {**tie, "image_id": ids[7], "value": "seal"},
            ],
            schema=CONFLICT_ROWS,
        ),
    )
    return dataclasses.replace(data, duplicates=facts)


@pytest.fixture(scope="session")
def parsed(found: ReportInput) -> Page:
    return Page.of(render(dataclasses.replace(found, tables={})))


BUILD = {
    "duplicates": duplicates.duplicates,
    "leaks": leaks.leaks,
    "conflicts": conflicts.conflicts,
}


def part(data: ReportInput, anchor: str) -> Page:
    (made,) = BUILD[anchor](data)
    assert made.anchor == anchor
    return Page.of(f"<body>{made.html}</body>")


def words(page: Page) -> str:
    return " ".join(page.text.replace("\u00a0", " ").split())


def facts(page: Page) -> list[tuple[str, bool]]:
    """The line under each picture, and whether it is marked."""
    spans = [e for e in page.all("span") if e.attributes.get("class", "").startswith("fact")]
    return [(e.text, "marked" in e.attributes["class"]) for e in spans]


def test_where_nobody_looked_the_page_says_what_to_run(data: ReportInput) -> None:
    assert data.duplicates is None
    assert "cvdata dedup" in words(part(data, "duplicates"))
    assert leaks.leaks(data) == conflicts.conflicts(data) == []


def test_nothing_found_is_said_in_words(data: ReportInput) -> None:
    none = dataclasses.replace(data, duplicates=DuplicateFacts((), 49, splits={"a": 9, "b": 4}))
    assert "No two of 49 images were found to be copies" in words(part(none, "duplicates"))
    assert "No image of 2 splits has a copy in another" in words(part(none, "leaks"))
    assert "No two copies contradict" in words(part(none, "conflicts"))
    assert [f.anchor for f in findings(none)] == [f.anchor for f in findings(data)]
    one = dataclasses.replace(none.duplicates, splits={"a": 9})
    assert "no two splits" in words(part(dataclasses.replace(data, duplicates=one), "leaks"))


def test_sections_stand_after_the_issues(parsed: Page) -> None:
    anchors = [e.attributes["id"] for e in parsed.all("section")]
    at = anchors.index("duplicates")
    assert "outliers" in anchors[:at]
    assert anchors[anchors.index("outliers") - 1].startswith("issue-")
    assert anchors[at : at + 3] == ["duplicates", "leaks", "conflicts"]
    assert anchors[at + 3] == "dimensions"


def test_the_page_stays_well_formed_and_every_link_leads_somewhere(parsed: Page) -> None:
    ids = [e.attributes["id"] for e in parsed.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [e.attributes["href"][1:] for e in parsed.elements if "href" in e.attributes]
    assert set(links) <= set(ids)
    assert {"duplicates", "leaks", "conflicts"} <= set(links)
    assert not [e for e in parsed.elements if "style" in e.attributes]


def test_same_input_same_bytes(found: ReportInput) -> None:
    for build in BUILD.values():
        assert build(found) == build(found)


def test_methods_are_listed_plainest_first_and_all_together_last(found: ReportInput) -> None:
    page = part(found, "duplicates")
    cells = [e.text for e in page.all("td")]
    first = [cells[i] for i in range(0, 18, 6)]
    assert first == ["Same file", "Same content", "All together"]
    assert cells[6:12] == ["Same content", "9", "4", "5", "2", "95.3\u00a0%"]
    told = words(page)
    assert f"{sum(SIZES) - len(SIZES)} images" in told
    assert "compared 44 candidate pairs and turned 6 down" in told
    assert "would hold 23 images instead of 17, and 5 pairs" in told


def test_chaining_is_drawn_only_where_it_would_have_merged(found: ReportInput) -> None:
    assert "plot-chaining" in duplicates.duplicates(found)[0].html
    plain = [
        dataclasses.replace(m, components=SIZES, n_bridges=0) if m.name == "any" else m
        for m in found.duplicates.methods
    ]
    same = dataclasses.replace(found.duplicates, methods=tuple(plain))
    page = part(dataclasses.replace(found, duplicates=same), "duplicates")
    assert not [e for e in page.elements if "plot-chaining" in str(e.attributes)]
    assert "nothing more together" in words(page)


def test_the_keeper_comes_first_and_alone_is_marked(found: ReportInput) -> None:
    page = part(found, "duplicates")
    lines = facts(page)
    assert [text == "keeper" for text, _ in lines] == [marked for _, marked in lines]
    shown = [min(size, TILES - (size > TILES)) for size in SIZES]
    starts = [sum(shown[:i]) for i in range(len(shown))]
    assert [i for i, (text, _) in enumerate(lines) if text == "keeper"] == starts
    assert [text for text, _ in lines[1:6]] == [
        "same pixels",
        "0.5 bits apart",
        "turned or mirrored, 0.75 bits apart",
        "cosine 0.000",
        "125.0\u00a0% of the radius",
    ]
    assert "6 more" in [e.text for e in page.all("span") if e.attributes.get("class") == "blank"]


def test_splits_stand_largest_first_with_their_share(found: ReportInput) -> None:
    page = part(found, "leaks")
    cells = [e.text for e in page.all("td")]
    assert cells == [
        *["train", "38", "21", "55.3\u00a0%", "–", "41"],
        *["test", "13", "11", "84.6\u00a0%", "41", "–"],
    ]
    assert facts(page) == [("train", False), ("test", True)] * SHOWN
    assert f"The nearest {SHOWN} of 41" in words(page)
    assert "the first 30 pairs" in words(page)


def test_labels_beside_the_pictures_mark_who_disagrees(found: ReportInput) -> None:
    page = part(found, "conflicts")
    assert facts(page) == [
        *[("tram", False), ("tram", False), ("heron", True)],
        *[("car×2", True), ("none", False)],
        *[("tram", True), ("seal", True)],
    ]
    titles = [e.text for e in page.all("p") if e.attributes.get("class") == "why"]
    assert titles == ["labels, most say tram", "boxes, no majority", "labels, no majority"]
    assert "5 images to look at" in words(page)


def test_stale_tables_are_told(found: ReportInput) -> None:
    assert "since" not in words(part(found, "duplicates"))
    stale = dataclasses.replace(found.duplicates, is_current=False)
    assert "scanned since" in words(
        part(dataclasses.replace(found, duplicates=stale), "duplicates")
    )


def test_the_overview_counts_them_too(found: ReportInput) -> None:
    told = {f.anchor: f for f in findings(found)}
    assert told["duplicates"].n == sum(SIZES) - len(SIZES)
    assert told["leaks"].n == 32
    assert told["conflicts"].n == 5
    keepers = {r["image_id"] for r in found.duplicates.groups.to_pylist()[:1]}
    assert not keepers & set(told["duplicates"].worst[: overview.WORST])
    html = overview.overview(found)[0].html
    assert html.count('href="#duplicates"') == html.count('href="#leaks"') == 1


def test_downloads_hold_every_row_at_hand(found: ReportInput) -> None:
    made = {
        file: list(csv.reader(io.StringIO(text, newline="")))
        for build in BUILD.values()
        for section in build(found)
        for file, text in section.downloads.items()
    }
    told = found.duplicates
    rows = {
        duplicates.FILE: told.groups.num_rows,
        leaks.FILE: told.leaks.num_rows,
        conflicts.FILE: told.conflicts.num_rows,
    }
    assert {file: len(lines) - 1 for file, lines in made.items()} == rows
    keys = {key.decode() for key in found.records["key"].to_pylist()}
    assert {line[2] for line in made[duplicates.FILE][1:]} <= keys
    assert sum(line[1] == "true" for line in made[duplicates.FILE]) == len(SIZES)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_splits_and_labels_stay_text(found: ReportInput, text: str) -> None:
    storable = text.encode("utf-8", "replace").decode()
    raw = text.encode("utf-8", "surrogatepass")

    def column(table: pa.Table, field: str, value: object) -> pa.Table:
        at = table.schema.get_field_index(field)
        kind = table.schema.field(field)
        return table.set_column(at, kind, pa.array([value] * table.num_rows, kind.type))

    facts = dataclasses.replace(
        found.duplicates,
        methods=(*found.duplicates.methods, MethodFacts(storable, 1, 1, 1)),
        groups=column(found.duplicates.groups, "method", storable),
        splits={storable: 3, "train": 38},
        leaking={storable: 2, "train": 2},
        leak_counts={(storable, "train"): 41},
        leaks=column(found.duplicates.leaks, "split_a", storable),
        conflicts=column(
            column(found.duplicates.conflicts, "value", storable), "majority", storable
        ),
    )
    bad = dataclasses.replace(
        found, records=column(found.records, "key", raw), duplicates=facts, tables={}
    )
    for anchor in ("duplicates", "leaks", "conflicts"):
        clean, page = part(found, anchor), part(bad, anchor)
        assert not page.all("script", "style", "iframe", "meta")
        assert len(page.all("img")) == len(clean.all("img"))
        for element in page.elements:
            assert not [a for a in element.attributes if a.startswith("on")]
        for char in "\u202e\u2066\u200f\x00\x1b\u2028\u2029\r":
            assert char not in page.text
        expected = name(text.encode("utf-8", "surrogatepass"), 1000)
        assert [e for e in page.all("img") if e.attributes["alt"] == expected]
    assert name(storable, 40) in part(bad, "leaks").text
    assert name(storable, 60) in part(bad, "conflicts").text


def test_a_shared_page_names_no_root(found: ReportInput) -> None:
    facts = dataclasses.replace(
        found.duplicates,
        splits={f"{ROOT}/train": 30, f"{ROOT}/test": 13},
        leaking={f"{ROOT}/test": 3},
        leak_counts={(f"{ROOT}/test", f"{ROOT}/train"): 41},
        leaks=rooted(found.duplicates.leaks, "split_a", "split_b"),
        conflicts=rooted(found.duplicates.conflicts, "value", "majority"),
    )
    loud = dataclasses.replace(found, duplicates=facts, tables={})
    assert ROOT in render(loud)
    shared = render(loud, share=True)
    assert "/srv" not in shared
    assert "private" not in shared
    assert "pairs with train" in shared


def rooted(table: pa.Table, *columns: str) -> pa.Table:
    for column in columns:
        at = table.schema.get_field_index(column)
        cells = [None if c is None else f"{ROOT}/{c}" for c in table[column].to_pylist()]
        table = table.set_column(at, table.schema.field(at), pa.array(cells, pa.string()))
    return table


def test_pictures_stay_within_the_budget_of_the_page(found: ReportInput) -> None:
    parts = (gallery, duplicates, leaks, conflicts, overview)
    assert sum(one.BUDGET for one in parts) <= PAGE_BUDGET
    big = next(iter(found.thumbs.values()))
    # the bytes after the image's end are ignored: a thumbnail of any size
    heavy = dict.fromkeys(found.thumbs, big + bytes(100_000))
    loud = dataclasses.replace(found, thumbs=heavy)
    for module, anchor in ((duplicates, "duplicates"), (leaks, "leaks")):
        page = part(loud, anchor)
        sources = [e.attributes["src"] for e in page.all("img")]
        assert 0 < sum(map(len, sources)) <= module.BUDGET
        left_out = len(facts(page)) - len(sources)
        assert left_out > 0
        assert f"{left_out} thumbnails are left out" in words(page)


def test_shown_images_are_those_with_a_place_on_the_page(found: ReportInput, parsed: Page) -> None:
    shown = shown_images(found)
    assert len(shown) == len(set(shown))
    only = dataclasses.replace(found, tables={}, thumbs={i: found.thumbs[i] for i in shown})
    assert render(only) == render(dataclasses.replace(found, tables={}))
    keys = {row["image_id"]: row["key"].decode() for row in found.records.to_pylist()}
    alts = {e.attributes["alt"] for e in parsed.all("img")} - {""}
    assert alts == {keys[i] for i in shown}


@given(st.integers(1, 10**6))
def test_what_is_left_out_of_a_set_is_counted_and_fits(size: int) -> None:
    shown, more = fitting(size, min(size, TILES))
    assert shown + more == size
    assert shown + (more > 0) <= TILES
    assert more != 1


@given(st.sampled_from([*HOW, "<b>", "new_method"]), st.floats(0, 2, allow_nan=False))
def test_every_likeness_has_short_words(method: str, distance: float) -> None:
    assert 0 < len(alike(method, distance)) < 60


def test_group_sizes_are_counted_in_full(found: ReportInput) -> None:
    sizes = {2: 5, 3: 1, 7: 4, 9: 2, 120: 1, 5000: 3, 70_000: 1}
    many = dataclasses.replace(found.duplicates, sizes=sizes, methods=())
    page = part(dataclasses.replace(found, duplicates=many), "duplicates")
    cells = [e.text for e in page.all("td")][-15:]
    rows = [(cells[i], cells[i + 1]) for i in range(0, len(cells), 3)]
    assert rows == [
        ("2 images", "5"),
        ("3 images", "1"),
        ("6 to 9 images", "6"),
        ("100 to 999 images", "1"),
        ("1,000 images or more", "4"),
    ]
