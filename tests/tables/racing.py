"""Writers that commit at the same moment, and what their log must say afterwards."""

import itertools
import threading

from cvdata.workspace import Workspace
from tests.tables.flows import ingest
from tests.tables.stages import make_records

WRITERS = 8


def commit_at_once(url: str, rounds: int) -> list[BaseException]:
    """`rounds` times eight writers, each with a table of its own; what failed of them."""
    ingest(Workspace(url), ["one", "two"])
    return [error for number in range(rounds) for error in _one_round(url, number)]


def assert_nothing_is_lost(url: str, rounds: int) -> None:
    """The log and the tables after so many rounds."""
    log = Workspace(url).log
    n_commits = 1 + rounds * WRITERS
    assert log.numbers() == list(range(1, n_commits + 1)), "contiguous"
    commits = [log.read(seq) for seq in log.numbers()]
    assert len({commit.run_id for commit in commits}) == n_commits, "one winner each"
    names = {f"lengths/{n}-{who}" for n in range(rounds) for who in range(WRITERS)}
    assert names <= set(commits[-1].tables), "all disjoint work lands"
    for before, commit in itertools.pairwise(commits):
        assert set(before.tables) < set(commit.tables), "nothing that landed is lost again"
    found = Workspace(url)
    assert found.verify() == []
    for name in names:
        assert len(found.read_all(name)) == 2


def _one_round(url: str, number: int) -> list[BaseException]:
    barrier = threading.Barrier(WRITERS)
    failed: list[BaseException] = []

    def write(who: int) -> None:
        name = f"lengths/{number}-{who}"
        rows = make_records(["one", "two"], f"{number}-{who}").select(["image_id", "revision"])
        try:
            with Workspace(url).change("race", {}) as change:
                change.replace(name, [rows], rows.schema)
                barrier.wait(timeout=120)
        except BaseException as error:  # noqa: BLE001  told to the test's own thread
            barrier.abort()
            failed.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed
