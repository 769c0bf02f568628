"""Methods on facts: robust z-scores of measures, distance of histograms to the mean one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvdata.outliers.rows import F32, F64, Rows

PLAIN = (
    *("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b"),
    *("lab_mean_l", "lab_mean_a", "lab_mean_b", "hsv_mean_s", "colorfulness"),
    *("brightness_p5", "brightness_p50", "brightness_p95", "brightness_mean", "rms_contrast"),
    *("edge_density", "high_frequency_ratio", "entropy", "gray_entropy"),
    *("noise_sigma", "jpeg_blockiness"),
)
LOGARITHMIC = (
    *("width", "height", "aspect_ratio", "size_bytes"),
    *("laplacian_variance", "tenengrad", "unique_colors"),
)
"""Of these the logarithm is taken: they span decades."""
MEASURES = (*PLAIN, *LOGARITHMIC)
HISTOGRAMS = ("hist_r", "hist_g", "hist_b", "lbp_hist")

MAD_SCALE = 1.4826022185056018
"""1 / Φ⁻¹(3/4): the MAD of a normal distribution times this is its standard deviation."""
MEAN_SCALE = 1.2533141373155001
"""√(π/2): the same for the mean absolute deviation."""
LARGEST_Z = 1000.0


def values_of(rows: Rows, name: str) -> F64:
    """(N,) the measure as it is compared, NaN where null."""
    values = rows.number(name)
    if name not in LOGARITHMIC:
        return values
    with np.errstate(invalid="ignore"):
        return np.asarray(np.log(np.maximum(values, 1e-6)))


def usual(values: Mapping[str, F64]) -> tuple[tuple[str, ...], F64, F64]:
    """Names, medians and robust scales of the columns that vary."""
    found = []
    for name, column in values.items():
        known = column[np.isfinite(column)]
        median = float(np.median(known)) if len(known) else 0.0
        scale = robust_scale(known, median) if len(known) else 0.0
        if scale > 0:
            found.append((name, median, scale))
    medians, scales = (np.array([row[i] for row in found], np.float64) for i in (1, 2))
    return tuple(row[0] for row in found), medians, scales


@dataclass(frozen=True)
class RobustZ:
    """The largest |z| over measures; z = (x − median) / (1.4826 · MAD). Iglewicz, Hoaglin 1993.

    Where over half of the values are equal and the MAD is 0, the mean absolute deviation about the
    median stands in, as they say; where all are equal there is nothing to measure by. z is cut at
    1,000, so that one float beside a constant does not drown the rest.
    """

    names: tuple[str, ...]
    medians: F64
    scales: F64

    @classmethod
    def fit(cls, rows: Rows) -> "RobustZ":
        """Of the measures that the rows have."""
        return cls(*usual({n: values_of(rows, n) for n in MEASURES if rows.has(n)}))

    def z(self, rows: Rows) -> F64:
        """(N, measures), NaN where null."""
        out = np.full((len(rows), len(self.names)), np.nan)
        for j, name in enumerate(self.names):
            out[:, j] = (values_of(rows, name) - self.medians[j]) / self.scales[j]
        return np.asarray(np.clip(out, -LARGEST_Z, LARGEST_Z))

    def score(self, rows: Rows) -> F64:
        """(N,), NaN where an image has no measure at all."""
        size = np.abs(self.z(rows))
        if not self.names:
            return np.full(len(rows), np.nan)
        largest = np.where(np.isnan(size), -np.inf, size).max(axis=1)
        return np.where(np.isfinite(largest), largest, np.nan)

    def explain(self, rows: Rows, most: int = 3) -> list[dict[str, Any]]:
        """The measures farthest out: value, the median, z."""
        z = self.z(rows)
        order = np.argsort(-np.nan_to_num(np.abs(z), nan=-1.0), axis=1, kind="stable")[:, :most]
        told: list[dict[str, Any]] = []
        for i, top in enumerate(order):
            told.append({"measures": [self._told(rows, i, j, float(z[i, j])) for j in top]})
        return told

    def _told(self, rows: Rows, i: int, j: int, z: float) -> dict[str, Any]:
        name = self.names[j]
        usual = float(np.exp(self.medians[j])) if name in LOGARITHMIC else float(self.medians[j])
        raw = rows.table[name][i].as_py()
        value = np.nan if raw is None else float(raw)
        return {
            "name": name,
            "value": _brief(value) if np.isfinite(value) else None,
            "median": _brief(usual),
            "z": None if np.isnan(z) else _brief(z),
        }


def robust_scale(values: F64, median: float) -> float:
    """1.4826 · MAD; where that is 0, 1.2533 · mean |x − median|; below rounding, 0."""
    off = np.abs(values - median)
    scale = MAD_SCALE * float(np.median(off)) or MEAN_SCALE * float(off.mean())
    return scale if scale > 1e-9 * max(1.0, abs(median)) else 0.0


@dataclass(frozen=True)
class HistogramDistance:
    """χ² distance ½ Σ (p − q)² / (p + q) of the histograms to the mean ones, averaged; in [0, 1].

    Of red, green, blue and of local binary patterns: those that there are.
    """

    means: dict[str, F64]

    @classmethod
    def fit(cls, rows: Rows) -> "HistogramDistance":
        """The mean histograms of the rows."""
        means = {}
        for name in HISTOGRAMS:
            if rows.has(name):
                lists = _histograms(rows, name)
                lists = lists[np.isfinite(lists).all(axis=1)]
                if len(lists):
                    means[name] = lists.mean(axis=0)
        return cls(means)

    def distances(self, rows: Rows) -> F64:
        """(N, histograms), NaN where null."""
        out = np.full((len(rows), len(self.means)), np.nan)
        for j, (name, mean) in enumerate(self.means.items()):
            out[:, j] = chi_square(_histograms(rows, name), mean)
        return out

    def score(self, rows: Rows) -> F64:
        """(N,) the mean over the histograms that an image has; NaN where it has none."""
        distances = self.distances(rows)
        n = np.isfinite(distances).sum(axis=1)
        total = np.nansum(distances, axis=1)
        return np.where(n > 0, total / np.maximum(n, 1), np.nan)

    def explain(self, rows: Rows) -> list[dict[str, Any]]:
        """Each histogram's distance and the bin that differs most."""
        told: list[dict[str, Any]] = [{"histograms": []} for _ in range(len(rows))]
        for name, mean in self.means.items():
            lists = _histograms(rows, name)
            for i, distance in enumerate(chi_square(lists, mean)):
                if np.isfinite(distance):
                    at = int(np.argmax(np.abs(lists[i] - mean)))
                    told[i]["histograms"].append(
                        {
                            "name": name,
                            "distance": _brief(float(distance)),
                            "bin": at,
                            "share": _brief(float(lists[i, at])),
                            "mean_share": _brief(float(mean[at])),
                        }
                    )
        return told


def _histograms(rows: Rows, name: str) -> F64:
    """(N, bins), NaN in rows that are null or not finite."""
    lists = rows.list_of(name).astype(np.float64)
    lists[~np.isfinite(lists).all(axis=1)] = np.nan
    return lists


def chi_square(lists: F32 | F64, mean: F64) -> F64:
    """(N,) ½ Σ (p − q)² / (p + q) of rows (N, bins) to `mean`; an empty bin of both adds 0."""
    p = lists.astype(np.float64)
    total = p + mean
    terms = np.divide((p - mean) ** 2, total, out=np.zeros_like(total), where=total > 0)
    terms = np.where(np.isnan(p), np.nan, terms)
    return np.asarray(terms.sum(axis=1) / 2)


def _brief(value: float) -> float:
    return float(f"{value:.5g}")
