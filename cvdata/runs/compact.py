"""Compaction as a run: its own commit, for every keyed table that has gathered small parts."""

from cvdata.keys import KeySet
from cvdata.maintenance import MADE_TABLES, compact
from cvdata.parts import read_columns
from cvdata.schema import RECORDS
from cvdata.tables import KEY_COLUMNS
from cvdata.workspace import Workspace


def compact_workspace(workspace: Workspace) -> dict[str, tuple[int, int]]:
    """Parts before and after, by table; only tables that changed."""
    done: dict[str, tuple[int, int]] = {}
    if "records" not in workspace.refresh().head.tables:
        return done
    with workspace.change("compact", {}) as change:
        rows = read_columns(change.store, change.records, RECORDS, KEY_COLUMNS)
        current = KeySet.of(rows["image_id"], rows["revision"])
        for name, state in change.base.tables.items():
            if "covers" not in state.meta and not name.startswith(MADE_TABLES):
                continue
            merged = compact(change.store, name, state, current)
            if merged is not state:
                change.put_state(name, merged)
                done[name] = (len(state.parts), len(merged.parts))
    return done
