"""How each class looks: its textures, backgrounds and lighting, and how alike they are within it.

Likeness of a field within a class = 1 − (variance within the class) / (variance in the dataset),
both unbiased. 1: all images of the class are alike; 0: as varied as the dataset; below 0: more
varied. It is given for classes of at least `MIN_IMAGES` images. Vectors (`lbp_hist`,
`background_lab`) compare the sums of their components' variances, so that the spread of
`background_lab` is the root mean square ΔE (CIE 1976) to the class's mean background.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cvdata.eda.facts import Facts
from cvdata.eda.fields import PROFILE_FIELDS
from cvdata.eda.groups import NONE, OTHER, Codes
from cvdata.kernels.moments import Floats, Moments, Segments
from cvdata.schema import CLASS_PROFILE

MIN_IMAGES = 10
VECTORS: dict[str, tuple[str, ...]] = {
    "lbp_hist": tuple(f for f in PROFILE_FIELDS if f.startswith("lbp_")),
    "background_lab": tuple(f for f in PROFILE_FIELDS if f.startswith("background_")),
}


@dataclass(frozen=True)
class Profile:
    """Accumulate (G, P) moments of `PROFILE_FIELDS` per label; `labels` as in the scope label."""

    labels: tuple[str, ...]

    def zero(self) -> Moments:
        """Nothing seen."""
        return Moments.zeros(len(self.labels), len(PROFILE_FIELDS))

    def update(self, acc: Moments, facts: Facts, codes: Codes) -> None:
        """Add images; absent columns stay unseen."""
        parts = Segments.of(codes)
        batch = self.zero()
        found = parts.moments(profile_matrix(facts)[parts.order])
        g = parts.groups
        batch.weight[g], batch.mean[g], batch.m2[g] = found.weight, found.mean, found.m2
        acc.merge(batch)

    def merge(self, a: Moments, b: Moments) -> Moments:
        """Both together, in `a`."""
        return a.merge(b)

    def table(self, acc: Moments) -> pa.Table:
        """Rows of `class_profile`: fields that were measured, classes that occur."""
        overall = acc.pooled()
        rows: list[tuple[str, str, float | None, float | None, float | None]] = []
        for g, label in enumerate(self.labels):
            if label in (OTHER, NONE):
                continue
            mine = Moments(acc.weight[g], acc.mean[g], acc.m2[g])
            for f, field in enumerate(PROFILE_FIELDS):
                if mine.weight[f] > 0:
                    index = np.array([f])
                    rows.append(
                        (label, field, float(mine.mean[f]), *_compare(mine, overall, index))
                    )
            for field, parts in VECTORS.items():
                index = np.array([PROFILE_FIELDS.index(p) for p in parts])
                if (mine.weight[index] > 0).all():
                    rows.append((label, field, None, *_compare(mine, overall, index)))
        columns = zip(*rows, strict=True) if rows else [[]] * len(CLASS_PROFILE)
        return pa.table([pa.array(list(c)) for c in columns], schema=CLASS_PROFILE)


def profile_matrix(facts: Facts) -> Floats:
    """(N, P) values of `PROFILE_FIELDS`, NaN where absent."""
    out = np.full((facts.table.num_rows, len(PROFILE_FIELDS)), np.nan)
    lbp, background = facts.vector("lbp_hist"), facts.vector("background_lab")
    for f, field in enumerate(PROFILE_FIELDS):
        if field.startswith("lbp_"):
            column = None if lbp is None else lbp[:, int(field[4:])]
        elif field.startswith("background_"):
            column = None if background is None else background[:, "lab".index(field[-1])]
        else:
            column = facts.column(field)
        if column is not None:
            out[:, f] = column
    return out


def _compare(mine: Moments, overall: Moments, index: Floats) -> tuple[float, float | None]:
    """Spread (population std) and likeness of a class, over one or more components."""
    spread = float(np.sqrt(mine.variance()[index].sum()))
    within, total = mine.variance(1)[index].sum(), overall.variance(1)[index].sum()
    if mine.weight[index].min() < MIN_IMAGES or not total > 0:
        return spread, None
    return spread, float(1 - within / total)
