"""Eight writers at once, for twenty rounds."""

from pathlib import Path

from tests.tables.racing import assert_nothing_is_lost, commit_at_once


def test_eight_concurrent_commits_for_twenty_rounds(tmp_path: Path) -> None:
    assert commit_at_once(str(tmp_path / "w"), 20) == []
    assert_nothing_is_lost(str(tmp_path / "w"), 20)
