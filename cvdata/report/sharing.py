"""Takes every path of the machine out of a report's input, before anything is rendered."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from cvdata.report.inputs import DuplicateFacts, ReportInput
from cvdata.report.model_facts import ModelFacts
from cvdata.report.outlier_facts import OutlierFacts

_QUOTED = re.compile(
    r"""(?P<q>['"`])(?P<path>(?:[A-Za-z][A-Za-z0-9+.-]*:/|~?/|[A-Za-z]:\\|\\\\)[^'"`]*)(?P=q)"""
)
_BARE = re.compile(
    r"""(?<![\w.<])(?:[A-Za-z][A-Za-z0-9+.-]*://|file:/|~?/(?=[^\s/])|[A-Za-z]:[\\/]|\\\\)[^\s'"`,;()<>]*"""
)
_TAIL = re.compile(r"[/\\]")


def without_paths(data: ReportInput) -> ReportInput:
    """`data` with the last name of every absolute path or storage URL in the path's place."""
    roots = _roots(data)

    def clean(text: str) -> str:
        for root in roots:
            text = text.replace(root, "")
        return relative(text)

    return replace(
        data,
        title=clean(data.title),
        commit=replace(data.commit, versions=_mapping(data.commit.versions, clean)),
        records=_table(data.records, clean),
        error_rows=_table(data.error_rows, clean),
        tables={name: _table(table, clean) for name, table in data.tables.items()},
        answers=_any(data.answers, clean),
        duplicates=_duplicates(data.duplicates, clean),
        outliers=_outliers(data.outliers, clean),
        models=tuple(_model(facts, clean) for facts in data.models),
        statistics=_any(data.statistics, clean),
    )


def relative(text: str) -> str:
    """`text` with absolute paths and URLs cut down to their last name.

    >>> relative("cannot open '/home/someone/My Photos/a.jpg'")
    "cannot open 'a.jpg'"
    """
    quoted = _QUOTED.sub(lambda m: f"{m['q']}{_last(m['path'])}{m['q']}", text)
    return _BARE.sub(lambda m: _last(m[0]), quoted)


def _last(path: str) -> str:
    parts = [part for part in _TAIL.split(path) if part]
    return parts[-1] if parts else ""


def _roots(data: ReportInput) -> list[str]:
    """Folders that keys are relative to (`uri` minus `key`), longest first."""
    roots: set[str] = set()
    for table in (data.records, data.error_rows):
        rows = table.select(["key", "uri"]).to_pylist()
        for row in rows:
            key, uri = row["key"].decode("utf-8", "replace"), row["uri"] or ""
            for text in (uri, unquote(uri)):
                if key and text.endswith("/" + key):
                    roots.add(text[: -len(key)])
                    roots.add(text[: -len(key)].removeprefix("file://"))
    return sorted((root for root in roots if len(root) > 1), key=len, reverse=True)


def _table(table: pa.Table, clean: Callable[[str], str]) -> pa.Table:
    """Every string cell cleaned; keys too, for a manifest's keys may be absolute."""
    for i, column in enumerate(table.schema):
        if pa.types.is_string(column.type):
            cells: Iterable[Any] = (None if c is None else clean(c) for c in table[i].to_pylist())
        elif column.name == "key" and pa.types.is_binary(column.type):
            cells = (_clean_key(key, clean) for key in table[i].to_pylist())
        else:
            continue
        table = table.set_column(i, column, pa.array(cells, type=column.type))
    return table


def _clean_key(key: bytes, clean: Callable[[str], str]) -> bytes:
    return clean(key.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _duplicates(facts: DuplicateFacts | None, clean: Callable[[str], str]) -> DuplicateFacts | None:
    """Splits and labels may be paths, where a manifest says so; two may become one."""
    if facts is None:
        return None
    leak_counts: Counter[tuple[str, str]] = Counter()
    for (a, b), n in facts.leak_counts.items():
        leak_counts[clean(a), clean(b)] += n
    return replace(
        facts,
        splits=_summed(facts.splits, clean),
        leaking=_summed(facts.leaking, clean),
        leak_counts=leak_counts,
        leaks=_table(facts.leaks, clean),
        conflicts=_table(facts.conflicts, clean),
    )


def _model(facts: ModelFacts, clean: Callable[[str], str]) -> ModelFacts:
    """Labels and splits may be paths too."""
    return replace(
        facts,
        splits=_any(facts.splits, clean),
        classes=_any(facts.classes, clean),
        confusions=_any(facts.confusions, clean),
        hardest=_any(facts.hardest, clean),
        comparison=_any(facts.comparison, clean),
    )


def _outliers(facts: OutlierFacts | None, clean: Callable[[str], str]) -> OutlierFacts | None:
    """Labels stand in the names of clusters and in explanations."""
    if facts is None:
        return None
    clusters = tuple((clean(title), n) for title, n in facts.clusters)
    return replace(facts, clusters=clusters, rows=_table(facts.rows, clean))


def _summed(counts: Mapping[str, int], clean: Callable[[str], str]) -> Counter[str]:
    total: Counter[str] = Counter()
    for key, n in counts.items():
        total[clean(key)] += n
    return total


def _mapping(values: Mapping[str, str], clean: Callable[[str], str]) -> dict[str, str]:
    return {clean(key): clean(value) for key, value in values.items()}


def _any(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _any(inner, clean) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_any(inner, clean) for inner in value]
    return value
