"""The schema of augmented copies: images that cvdata made, and what they were made from."""

import pyarrow as pa

from cvdata.schema import BOX, ID, RECORDS

WEIGHTED_LABEL = pa.struct([("label", pa.string()), ("weight", pa.float32())])

VANISHED = pa.struct(
    [
        ("image_id", ID),
        ("label", pa.string()),
        ("xyxy", pa.list_(pa.float32(), 4)),
        ("visible", pa.float32()),
    ]
)
"""A box that an augmentation lost: where it stood in which image, and the fraction still visible.
"""

AUGMENTED = pa.schema(
    [
        *(RECORDS.field(n) for n in ("image_id", "revision", "error", "error_detail")),
        pa.field("parent_id", ID, nullable=False),
        pa.field("parent_revision", pa.string(), nullable=False),
        pa.field("variant", pa.int32(), nullable=False),
        pa.field("policy", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("partners", pa.list_(ID), nullable=False),
        pa.field("params", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("sha256", pa.binary(32)),
        pa.field("size_bytes", pa.int64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("split", pa.string()),
        pa.field("label", pa.string()),
        pa.field("labels", pa.list_(WEIGHTED_LABEL)),
        pa.field("boxes", pa.list_(BOX)),
        pa.field("vanished", pa.list_(VANISHED)),
        pa.field("mask_uri", pa.string()),
        pa.field("extra", pa.string()),
    ]
)
"""One augmented copy; (parent_id, variant) is unique in the table of a policy. `image_id` is that
of source `augmented/<policy>` and key `<parent's hex id>#<variant>`; `revision` the parent's, with
a digest of the partners that were mixed in. `params` is JSON: what was drawn, a list of steps.
`split` is the parent's, `label` too; `labels` are the mixed ones with their weights, in all 1,
null where no image has a label. `boxes` are those that survived, in pixels of the copy. `extra` is
JSON, as of records (COCO keypoints of the surviving boxes)."""


def live_columns(schema: pa.Schema) -> list[str]:
    """Which columns name the record that a row lives and dies with: of a made image its parent."""
    is_made = "parent_id" in schema.names
    return ["parent_id", "parent_revision"] if is_made else ["image_id", "revision"]
