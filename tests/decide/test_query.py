"""SQL conditions: what they can ask, and that they can reach nothing but the tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cvdata import Workspace
from cvdata.decide.query import Database, database
from cvdata.decide.rules import SqlRule
from cvdata.errors import ConfigError
from tests.jobs.flows import cvdata, make_photos


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos in two sizes; then one of them is removed and one changes."""
    folder = tmp_path_factory.mktemp("query")
    make_photos(folder / "photos", range(8))
    make_photos(folder / "photos", range(8, 12), (48, 40))
    flags = ("--workspace", folder / "w")
    assert cvdata("ingest", folder / "photos", *flags) == 0
    assert cvdata("scan", *flags, "--measures", "file,geometry") == 0
    assert cvdata("scan", *flags, "--measures", "file,geometry,exposure") == 0
    assert cvdata("eda", *flags) == 0
    (folder / "photos" / "00011.jpg").unlink()
    assert cvdata("ingest", folder / "photos", *flags, "--allow-shrink") == 0
    return folder / "w"


@pytest.fixture
def db(scanned: Path, tmp_path: Path) -> Iterator[Database]:
    with database(Workspace(str(scanned)), str(tmp_path / "spill")) as made:
        yield made


def matching(db: Database, where: str) -> int:
    rule = SqlRule(name="mine", where=where)
    db.check(rule)
    return sum(len(ids) for ids in db.matching(rule))


@pytest.mark.parametrize(
    ("where", "n"),
    [
        ("true", 11),
        ("width < 64", 3),
        ("width < 64 -- a comment", 3),
        ("width < (SELECT avg(width) FROM images)", 3),
        ("image_id IN (SELECT image_id FROM issues WHERE is_flagged AND false)", 0),
        ("brightness_mean IS NOT NULL AND error IS NULL", 11),
        ("uri LIKE '%00003.jpg'", 1),
        ("(SELECT count(*) FROM measures) = 11 AND size_bytes > 0", 11),
        ("NULL", 0),
    ],
)
def test_what_a_condition_can_ask(db: Database, where: str, n: int) -> None:
    assert matching(db, where) == n


def test_one_image_is_asked_about(db: Database, scanned: Path) -> None:
    rows = Workspace(str(scanned)).read("measures", ["image_id", "width"]).to_pylist()
    rule = SqlRule(name="small", where="width < 64")
    for row in rows:
        assert db.is_matched(rule, row["image_id"]) == (row["width"] < 64)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("widht < 64", "widht"),
        ("width <", "syntax error"),
        ("sum(width) > 3", "aggregates"),
        (" ", "it is empty"),
        ("true; DROP VIEW images", "syntax error"),
        ("true); DROP VIEW images; SELECT image_id FROM images WHERE (true", "one condition"),
        ("random() < 0.5", "another answer each time"),
        ("uuid() IS NULL", "another answer each time"),
        ('"random"() < 0.5', "random gives another answer"),
        ("main.random() < 0.5", "random gives another answer"),
        ("current_date > DATE '2020-01-01'", "current_date gives another answer"),
        ("now() > TIMESTAMP '2020-01-01'", "now gives another answer"),
        ("width < (SELECT count(*) FROM read_csv('https://example.org/x.csv'))", "disabled"),
        ("width < (SELECT count(*) FROM 's3://bucket/x.parquet')", "disabled"),
        ("getenv('HOME') IS NULL", "getenv"),
        ("width < (SELECT count(*) FROM sqlite_scan('{folder}/x.db', 't'))", "sqlite_scan"),
        ("width < (SELECT count(*) FROM read_text('{folder}/_format.json'))", "disabled"),
        ("width IN (SELECT width FROM '{part}')", "disabled"),
        ("width IN (SELECT width FROM read_parquet('{part}'))", "disabled"),
        ("key IN (SELECT filename FROM glob('{folder}/*'))", "disabled"),
    ],
)
def test_what_a_condition_cannot_do(db: Database, scanned: Path, where: str, message: str) -> None:
    """Each is refused by name, and the views are still there afterwards."""
    part = Workspace(str(scanned)).files("measures")[0]
    text = where.replace("{folder}", str(scanned)).replace("{part}", part)
    with pytest.raises(ConfigError, match="sql rule 'mine'") as refused:
        matching(db, text)
    assert message in str(refused.value)
    assert matching(db, "true") == 11


@pytest.mark.parametrize(
    "statement",
    [
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH '{folder}/x.db' AS x",
        "COPY (SELECT 1) TO '{folder}/x.csv'",
        "EXPORT DATABASE '{folder}/x'",
    ],
)
def test_the_database_itself_is_locked(db: Database, scanned: Path, statement: str) -> None:
    """Even a whole statement, if one got through, could reach nothing."""
    import duckdb

    before = sorted(scanned.iterdir())
    with pytest.raises(duckdb.Error, match=r"disabled|locked|Cannot"):
        db._connection.execute(statement.replace("{folder}", str(scanned)))
    assert sorted(scanned.iterdir()) == before


def test_an_error_in_the_middle_of_the_rows_names_the_rule(db: Database) -> None:
    with pytest.raises(ConfigError, match="sql rule 'mine'"):
        matching(db, "CAST(uri AS INTEGER) > 3")
