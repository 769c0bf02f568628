"""A small real stage for the tests of tables and engines: no pixels, some bad rows."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from cvdata.schema import RECORDS, image_id, measures_schema
from cvdata.stages.base import Resources
from cvdata.storage import digest


@dataclass(frozen=True)
class KeyLength:
    """Measures the length of the key; keys that hold `bad` are error rows."""

    tables: tuple[str, ...] = ("lengths",)
    log: str = ""
    resources: Resources = field(default_factory=Resources)

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        return {t: measures_schema([("length", "int32")]) for t in self.tables}

    @property
    def fingerprints(self) -> dict[str, str]:
        return {t: digest(f"length {t}".encode()) for t in self.tables}

    def __call__(self, batch: pa.Table) -> dict[str, pa.Table]:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write("".join(f"{k!r}\n" for k in batch["key"].to_pylist()))
        keys = batch["key"].to_pylist()
        bad = [b"bad" in k for k in keys]
        table = pa.table(
            {
                "image_id": batch["image_id"],
                "revision": batch["revision"],
                "error": pa.array(["corrupt" if b else None for b in bad], pa.string()),
                "error_detail": pa.array(["planted" if b else None for b in bad], pa.string()),
                "length": pa.array(
                    [None if b else len(k) for b, k in zip(bad, keys, strict=True)], pa.int32()
                ),
            }
        )
        return dict.fromkeys(self.tables, table)


def make_records(keys: list[str], revision: str = "1", source: str = "s") -> pa.Table:
    """Records of these keys, in uri order."""
    keys = sorted(keys)
    n = len(keys)
    raw = [k.encode() for k in keys]
    columns = {
        "image_id": pa.array([image_id(source, k) for k in raw], pa.binary(16)),
        "revision": pa.array([revision] * n),
        "source": pa.array([source] * n),
        "key": pa.array(raw, pa.binary()),
        "uri": pa.array([f"/data/{k}" for k in keys]),
        "size_bytes": pa.array([len(k) for k in raw], pa.int64()),
    }
    return pa.table(
        {f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in RECORDS}, schema=RECORDS
    )
