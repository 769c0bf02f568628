"""What counts as a copy: what was asked for, and what stands where nothing was asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.commits import Commit
from cvdata.duplicates.calibration import GRID, looks_per_image
from cvdata.duplicates.candidates import METHODS
from cvdata.duplicates.crowds import CROWD
from cvdata.duplicates.keep import KeepPolicy
from cvdata.duplicates.thresholds import CALIBRATION, Thresholds, known
from cvdata.errors import ConfigError
from cvdata.parts import parts_digest
from cvdata.workspace import Workspace

DEDUP_VERSION = 2
"""Moves whenever the same tables and settings can give other pairs, verdicts or groups."""

BY_TABLE = ("exact_sha256", "exact_pixels", "perceptual", "dihedral")
"""Methods that need `scan` alone."""
RADIUS, WIDE_RADIUS = 6, 8
"""Bits of a hash that may differ: to make a copy by themselves, and to be worth a second look."""
PREFERRED = "embeddings/default"
MAX_LOOKS = 2.0
"""Second looks an image that semantic candidates may ask for where nobody gave a threshold."""
_SAMPLE = 4096


@dataclass(frozen=True)
class DedupRequest:
    """What a user asks for: empty, None and `auto` leave the choice to `resolved`."""

    methods: tuple[str, ...] = ()
    hash_column: str = "phash"
    radius: int | None = None
    embeddings: str = ""
    threshold: float | None = None
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    is_verified: bool = True
    has_features: bool = False
    is_fresh: bool = False
    search: str = "auto"
    crowd: int = CROWD


@dataclass(frozen=True)
class DedupOptions:
    """What counts as a copy, and which copy is kept.

    `table` is that of the embeddings, empty without the semantic method; `note` tells a person
    which it is and where its threshold is from. `is_fresh` forgets who was a keeper.
    """

    methods: tuple[str, ...] = BY_TABLE
    hash_column: str = "phash"
    radius: int = WIDE_RADIUS
    table: str = ""
    threshold: float = 1.0
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    is_verified: bool = True
    has_features: bool = False
    is_fresh: bool = False
    search: str = "auto"
    note: str = ""
    is_threshold_given: bool = False
    crowd: int = CROWD

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the choices made."""
        return (f"  {self.note}",) if self.note else ()

    def rules(self) -> dict[str, Any]:
        """What can change a result; `search` and `is_fresh` cannot, or are not for keeps."""
        return {
            "methods": list(self.methods),
            "hash": self.hash_column,
            "radius": self.radius,
            "embeddings": self.table,
            "threshold": self.threshold if self.table else None,
            "keep": list(self.keep.columns),
            "verify": self.is_verified,
            "features": self.has_features,
        }


def resolved(workspace: Workspace, request: DedupRequest) -> DedupOptions:
    """The request with every choice made, from what the workspace holds.

    Without methods: all that `scan` allows, and `semantic` where there are embeddings whose
    threshold is known. Raises `ConfigError` for what is unknown or cannot be done.
    """
    unknown = set(request.methods) - set(METHODS) | set(request.methods) & {"any"}
    if unknown:
        names = ", ".join(m for m in METHODS if m != "any")
        raise ConfigError(f"unknown methods {', '.join(sorted(unknown))}; there are: {names}")
    radius = request.radius
    if radius is None:
        radius = WIDE_RADIUS if request.is_verified else RADIUS
    methods = request.methods or BY_TABLE
    table, threshold, note = "", 1.0, ""
    is_named = bool(request.embeddings) or request.threshold is not None
    if "semantic" in methods or not request.methods:
        is_asked = "semantic" in methods or is_named
        table, threshold, note = _embeddings(workspace, request, is_asked=is_asked)
        methods = tuple(dict.fromkeys([*methods, *(["semantic"] if table else [])]))
    return DedupOptions(
        tuple(m for m in METHODS if m in methods),  # in one order: the same methods, the same rules
        request.hash_column,
        radius,
        table,
        threshold,
        request.keep,
        request.is_verified,
        request.has_features,
        request.is_fresh,
        request.search,
        note,
        request.threshold is not None,
        request.crowd,
    )


def _embeddings(
    workspace: Workspace, request: DedupRequest, *, is_asked: bool
) -> tuple[str, float, str]:
    """(table, threshold, note); an empty table where nothing fits and nothing was asked."""
    head, url = workspace.head, workspace.store.url
    tables = [n for n, state in head.tables.items() if n.startswith("embeddings/") and state.rows]
    if request.embeddings:
        wanted = f"embeddings/{request.embeddings.removeprefix('embeddings/')}"
        if wanted not in tables:
            known_tables = ", ".join(sorted(tables)) or "none"
            raise ConfigError(f"{url} has no {wanted}; there are: {known_tables}")
        tables = [wanted]
    if not tables and is_asked:
        raise ConfigError(f"{url} has no embeddings: run `cvdata infer --workspace {url}` first")
    for table in sorted(tables, key=lambda name: (name != PREFERRED, name)):
        if request.threshold is not None:
            note = f"semantic by {table}: cosine {request.threshold:g}, as asked"
            return table, request.threshold, note
        found = thresholds_of(workspace, head.tables[table].meta)
        if found is not None:
            cosine = found.of(is_verified=request.is_verified)
            use = "before the second look" if request.is_verified else "alone"
            return table, cosine, f"semantic by {table}: cosine {cosine:g} {use}, {found.source}"
    if not tables:
        return "", 1.0, ""
    missing = (
        f"no threshold is known for {', '.join(sorted(tables))}: run `cvdata calibrate "
        f"--workspace {url}` with its model, or give --threshold"
    )
    if is_asked:
        raise ConfigError(missing)
    return "", 1.0, f"semantic left out: {missing}"


def affordable(options: DedupOptions, vectors: npt.NDArray[np.float32]) -> DedupOptions:
    """The same with a higher cosine where a narrow dataset would ask for too many second looks.

    Among images that are all alike (one organ, one product) a cosine that suits photographs makes
    candidates of nearly all pairs. `vectors` are unit rows, one of each set of equal pixels, which
    nobody looks at; decided on an even sample of them.
    """
    if options.is_threshold_given or not options.is_verified or len(vectors) < 2:
        return options
    sample = vectors[:: max(1, len(vectors) // _SAMPLE)]
    looks = zip(GRID, looks_per_image(sample, len(vectors)), strict=True)
    fit = [t for t, n in looks if t >= options.threshold and n <= MAX_LOOKS]
    raised = fit[0] if fit else GRID[-1]
    if raised <= options.threshold:
        return options
    note = (
        f"{options.note}; raised to {raised:g}, for it would ask for more than {MAX_LOOKS:g} looks "
        "an image: `cvdata calibrate` finds what suits these images"
    )
    return replace(options, threshold=raised, note=note)


def thresholds_of(workspace: Workspace, meta: Mapping[str, Any]) -> Thresholds | None:
    """Those of the model that filled a table, by what its commit says of it."""
    held = workspace.artifact(CALIBRATION) if CALIBRATION in workspace.head.artifacts else None
    return known(held, str(meta.get("model", "")), str(meta.get("weights", "")))


def settings_of(head: Commit, options: DedupOptions, against: Mapping[str, str]) -> str:
    """What a result was made by, as JSON; keepers bind a later run while `rules` are the same.

    Another model's vectors in the same table are another rule.
    """
    vectors = parts_digest(head.tables[options.table].parts) if options.table else ""
    weights = head.tables[options.table].meta.get("weights") if options.table else None
    chosen = {
        "version": DEDUP_VERSION,
        "rules": {**options.rules(), "weights": weights},
        "against": dict(against),
        "vectors": vectors,
        # who is compared for whom changes which pairs are listed, and no group: it is no rule
        **({"crowd": options.crowd} if options.crowd != CROWD else {}),
    }
    return json.dumps(chosen, sort_keys=True)
