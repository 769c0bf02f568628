"""Eight writers at once, on stores in the net."""

import pytest

from tests.objectstore.conftest import Place
from tests.tables.racing import assert_nothing_is_lost, commit_at_once


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_eight_concurrent_commits(place: Place) -> None:
    assert commit_at_once(f"{place.url}/w", 2) == []
    assert_nothing_is_lost(f"{place.url}/w", 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", ["s3", "gs", "abfs", "memory"], indirect=True)
def test_eight_concurrent_commits_for_twenty_rounds(place: Place) -> None:
    assert commit_at_once(f"{place.url}/w", 20) == []
    assert_nothing_is_lost(f"{place.url}/w", 20)
