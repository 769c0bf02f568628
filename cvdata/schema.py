"""Every Arrow schema at rest, and how an image gets its id."""

import hashlib
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError

FORMAT_VERSION = 1
"""Version of the workspace layout, in `_format.json`."""

ID = pa.binary(16)

BOX = pa.struct([("label", pa.string()), ("xyxy", pa.list_(pa.float32(), 4))])

_KEY = [pa.field("image_id", ID, nullable=False), pa.field("revision", pa.string(), nullable=False)]
_ERROR = [pa.field("error", pa.string()), pa.field("error_detail", pa.string())]

RECORDS = pa.schema(
    [
        *_KEY,
        *_ERROR,
        pa.field("source", pa.string(), nullable=False),
        pa.field("key", pa.binary(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("size_bytes", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("label", pa.string()),
        pa.field("boxes", pa.list_(BOX)),
        pa.field("mask_uri", pa.string()),
        pa.field("extra", pa.string()),
    ]
)
"""`error` is set by ingest where the entry can never be read (`path_denied`, `duplicate_key`,
`archive_denied`); scan turns it into its error row without a fetch. `uri` is percent-encoded where
the raw path is not UTF-8. `offset` and `length` are set for members of a shard. `extra` is JSON."""

ISSUES = pa.schema(
    [
        *_KEY,
        pa.field("issue", pa.string(), nullable=False),
        pa.field("severity", pa.float32()),
        pa.field("is_flagged", pa.bool_(), nullable=False),
    ]
)

PAIRS = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("id_a", ID, nullable=False),
        pa.field("id_b", ID, nullable=False),
        pa.field("distance", pa.float32(), nullable=False),
        pa.field("is_verified", pa.bool_()),
    ]
)

DUPLICATES = pa.schema(
    [
        *_KEY,
        pa.field("method", pa.string(), nullable=False),
        pa.field("group_id", ID, nullable=False),
        pa.field("distance", pa.float32(), nullable=False),
        pa.field("is_keeper", pa.bool_(), nullable=False),
    ]
)

LEAKS = pa.schema(
    [
        pa.field("id_a", ID, nullable=False),
        pa.field("id_b", ID, nullable=False),
        pa.field("split_a", pa.string(), nullable=False),
        pa.field("split_b", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("distance", pa.float32(), nullable=False),
    ]
)

SUMMARY = pa.schema(
    [
        pa.field("scope", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""One number about one numeric field of one group. `scope` is all, split, label or source; `group`
is "" for all. `statistic`: count, n_null, mean, std, min, p1, p5, p25, p50, p75, p95, p99, max."""

COUNTS = pa.schema(
    [
        pa.field("scope", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)
"""How often a value occurs: n images, or n boxes for the field `object`."""

HISTOGRAMS = pa.schema(
    [
        pa.field("scope", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)
"""Bins [low, high); empty ones at either end are left out. For hist_r, hist_g, hist_b n is in
pixels."""

JOINT = pa.schema(
    [
        pa.field("scope", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("field_x", pa.string(), nullable=False),
        pa.field("field_y", pa.string(), nullable=False),
        pa.field("x_low", pa.float64(), nullable=False),
        pa.field("x_high", pa.float64(), nullable=False),
        pa.field("y_low", pa.float64(), nullable=False),
        pa.field("y_high", pa.float64(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)
"""Two fields at once; empty cells are left out."""

COOCCURRENCE = pa.schema(
    [
        pa.field("a", pa.string(), nullable=False),
        pa.field("b", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)
"""n images hold an object `a` and an object `b`, a <= b; a = b: n images hold any `a`."""

CLASS_PROFILE = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("spread", pa.float64()),
        pa.field("likeness", pa.float64()),
    ]
)
"""A class's mean and standard deviation of one field, and its likeness: 1 − variance within the
class / variance in the dataset; 1 is all alike, 0 as varied as the dataset, below 0 more."""

CONFLICTS = pa.schema(
    [
        *_KEY,
        pa.field("method", pa.string(), nullable=False),
        pa.field("group_id", ID, nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("value", pa.string()),
        pa.field("majority", pa.string()),
        pa.field("is_majority", pa.bool_(), nullable=False),
    ]
)
"""Duplicates that disagree: every image of such a group, a row per `kind` (`label` or `boxes`).
`value` is its label, or its boxes' labels and counts; `majority` the commonest of the group, null
in a tie."""

SPLITS = pa.schema([*_KEY, pa.field("split", pa.string(), nullable=False)])
"""The split that each image was given; once written it never moves."""

OUTLIERS = pa.schema(
    [
        *_KEY,
        pa.field("method", pa.string(), nullable=False),
        pa.field("class", pa.string()),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("is_flagged", pa.bool_(), nullable=False),
        pa.field("explanation", pa.string()),
    ]
)
"""One image by one method. `class` is the label it was scored within, null where that was the whole
dataset. `score` grows with strangeness, in the method's unit; `rank` 1 is the strangest within
(method, class). `explanation` is JSON: which measures or neighbours, how far against what is usual.
"""

LABEL_ISSUES = pa.schema(
    [
        *_KEY,
        pa.field("method", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("suggested", pa.string()),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("is_flagged", pa.bool_(), nullable=False),
        pa.field("explanation", pa.string()),
    ]
)
"""One image by one method that doubts its label or a box. `score` in [0, 1], 1 is surely wrong;
`rank` 1 is the most doubtful of the method; `suggested` null where nothing better is known."""

SELECTION = pa.schema(
    [
        *_KEY,
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
    ]
)
"""What becomes of each image. `weight` is how often a sampler should draw it, 0 where it is not
kept. `reasons`: `issue:<name>`, `duplicate:<method>:<keeper's hex id>`, `outlier:<method>`,
`leak:<split>`, `label_issue`, `user`, `balance` (a class was cut to its target); what only warns
stands there too, of an image that is kept."""

BUDGET = pa.schema([*_KEY, pa.field("n_copies", pa.int32(), nullable=False)])
"""How many augmented copies each image is to have, so that its class reaches its target: only
images of `selection` that are kept and get one or more. Written by decide, read by augment."""

MERGED = pa.schema(
    [
        *_KEY,
        pa.field("label", pa.string()),
        pa.field("boxes", pa.list_(BOX)),
    ]
)
"""What keepers bear in place of their `records` columns once the labels and boxes of their dropped
copies were united onto them (duplicates: {action: merge}); other images are not in it. Written by
decide, read by augment and export."""

METRICS = pa.schema(
    [
        pa.field("scope", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""One number about a model's predictions on one group. `scope` is all, split or label; `group` is
"" for all."""

MAP = pa.schema(
    [
        *_KEY,
        pa.field("x", pa.float32(), nullable=False),
        pa.field("y", pa.float32(), nullable=False),
        pa.field("is_fitted", pa.bool_(), nullable=False),
    ]
)
"""Place of an image on the 2-D map of the embeddings. `is_fitted`: it was in the sample that the
map was made from; the others were placed on it."""

_LIST = re.compile(r"^(?P<base>[a-z0-9]+)\[(?P<n>\d+)\]$")


def arrow_type(dtype: str) -> pa.DataType:
    """The Arrow type of a measure's `dtype`: `float32`, `binary[8]`, `float32[16]`, …"""
    if match := _LIST.match(dtype):
        base, n = match["base"], int(match["n"])
        return pa.binary(n) if base == "binary" else pa.list_(arrow_type(base), n)
    try:
        return pa.type_for_alias(dtype)
    except ValueError:
        raise ConfigError(f"unknown column type {dtype!r}") from None


def measures_schema(fields: list[tuple[str, str]]) -> pa.Schema:
    """Schema of a measures table with these (column, dtype) pairs."""
    return pa.schema([*_KEY, *_ERROR, *(pa.field(n, arrow_type(t)) for n, t in fields)])


def image_id(source: str, key: bytes) -> bytes:
    """The 16-byte id: blake2b-128 of (source name, raw key), length-prefixed so none collide."""
    name = source.encode()
    return hashlib.blake2b(len(name).to_bytes(4, "big") + name + key, digest_size=16).digest()


def id_ranks(ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Place of each id in byte order; (N,) int64."""
    order = np.asarray(pc.sort_indices(ids.cast(pa.binary())))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
