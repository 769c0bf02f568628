"""What keepers take over from the copies that drop: labels and boxes, united."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates.merge import merged_records
from cvdata.runs.decide_cut import Cut
from cvdata.runs.decide_links import Linked
from cvdata.schema import MERGED


def united_rows(tables: Cut, linked: Linked, method: str) -> pa.Table:
    """MERGED of the keepers that took something over, by the groups of a method."""
    keeper = linked.verdicts.keeper
    # a copy that drops for what it is has nothing to tell about the keeper
    gives = linked.verdicts.is_copy & ~linked.links.is_dropped
    takes = np.unique(keeper[gives])
    members = np.union1d(np.flatnonzero(gives), takes)
    ids = linked.rows["image_id"].combine_chunks()
    wanted = ids.take(pa.array(members))
    groups = pa.table(
        {
            "image_id": wanted,
            "group_id": ids.take(pa.array(keeper[members])),
            "is_keeper": pa.array(keeper[members] == members),
            "method": pa.array([method] * len(members), pa.string()),
        }
    )
    records = _of(tables, "records", wanted, ["image_id", "revision", "label", "boxes"])
    sizes = _of(tables, "measures", wanted, ["image_id", "width", "height"])
    united = merged_records(records, groups, sizes)
    kept = pc.is_in(united["image_id"], value_set=ids.take(pa.array(takes)))
    return united.filter(kept).select(MERGED.names).cast(MERGED)


def _of(tables: Cut, name: str, ids: pa.Array, columns: list[str]) -> pa.Table:
    """The rows of these images."""
    found = []
    for id_range in tables.ranges:
        rows = tables.read(name, columns, id_range=id_range)
        found.append(rows.filter(pc.is_in(rows["image_id"], value_set=ids)))
    return pa.concat_tables(found)
