"""The dataset's colours, by pixels: histograms per channel, mean and std for normalisation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata.eda.facts import Facts
from cvdata.eda.fields import linear
from cvdata.eda.groups import Scope
from cvdata.eda.numbers import bin_rows
from cvdata.kernels.moments import Moments, Segments
from cvdata.schema import HISTOGRAMS, SUMMARY

Ints = npt.NDArray[np.int64]
EDGES = linear(0, 256, 16)
CHANNELS = ("r", "g", "b")


@dataclass
class GroupColors:
    """State of one scope: (G, 3) moments weighted by pixels, (G, 3, 16) pixels per bin."""

    moments: Moments
    bins: Ints


@dataclass(frozen=True)
class Colors:
    """Pool the channels of all pixels from each image's mean, std and 16-bin histogram.

    The pooled variance is exact: within images plus between their means. A histogram's fractions
    are turned back into pixels, and add up exactly.
    """

    scopes: tuple[Scope, ...]

    def zero(self) -> list[GroupColors]:
        """One empty state for each scope."""
        return [
            GroupColors(Moments.zeros(g, 3), np.zeros((g, 3, 16), dtype=np.int64))
            for g in (len(scope.groups) for scope in self.scopes)
        ]

    def update(self, acc: list[GroupColors], facts: Facts, codes: Sequence[Ints]) -> None:
        """Add images that have a size; nothing where the colour columns are absent."""
        if facts.pixels is None:
            return
        pixels = np.nan_to_num(facts.pixels)
        means = [facts.column(f"mean_{c}") for c in CHANNELS]
        stds = [facts.column(f"std_{c}") for c in CHANNELS]
        hists = [facts.vector(f"hist_{c}") for c in CHANNELS]
        for state, groups in zip(acc, codes, strict=True):
            parts = Segments.of(groups)
            weight = pixels[parts.order]
            for c, (mean, std, hist) in enumerate(zip(means, stds, hists, strict=True)):
                if mean is not None and std is not None:
                    _add_moments(state.moments, c, parts, (mean, std, weight))
                if hist is not None:
                    n = np.rint(np.nan_to_num(hist[parts.order]) * weight[:, None])
                    state.bins[parts.groups, c] += parts.sums(n.astype(np.int64))

    def merge(self, a: list[GroupColors], b: list[GroupColors]) -> list[GroupColors]:
        """Both together, in `a`."""
        for x, y in zip(a, b, strict=True):
            x.moments.merge(y.moments)
            x.bins += y.bins
        return a

    def histograms(self, acc: list[GroupColors]) -> pa.Table:
        """Rows of `histograms`: fields hist_r, hist_g, hist_b, n in pixels."""
        rows = [
            (scope.name, group, f"hist_{channel}", *row)
            for scope, state in zip(self.scopes, acc, strict=True)
            for g, group in enumerate(scope.groups)
            for c, channel in enumerate(CHANNELS)
            for row in bin_rows(EDGES, state.bins[g, c])
        ]
        columns = zip(*rows, strict=True) if rows else [[]] * len(HISTOGRAMS)
        return pa.table([pa.array(list(c)) for c in columns], schema=HISTOGRAMS)

    def summary(self, acc: list[GroupColors]) -> pa.Table:
        """Rows of `summary`: fields pixels_r, pixels_g, pixels_b, 0..255; count is in pixels."""
        rows = [
            (scope.name, group, f"pixels_{channel}", statistic, float(value))
            for scope, state in zip(self.scopes, acc, strict=True)
            for g, group in enumerate(scope.groups)
            for c, channel in enumerate(CHANNELS)
            if state.moments.weight[g, c] > 0
            for statistic, value in (
                ("count", state.moments.weight[g, c]),
                ("mean", state.moments.mean[g, c]),
                ("std", np.sqrt(state.moments.m2[g, c] / state.moments.weight[g, c])),
            )
        ]
        columns = zip(*rows, strict=True) if rows else [[]] * len(SUMMARY)
        return pa.table([pa.array(list(c)) for c in columns], schema=SUMMARY)


def _add_moments(
    into: Moments, c: int, parts: Segments, images: tuple[npt.NDArray[np.float64], ...]
) -> None:
    """Add one channel of images: (N,) mean and std, and the (N,) pixels ordered by group."""
    mean, std, weight = images[0][parts.order], images[1][parts.order], images[2]
    between = parts.moments(mean, weight)
    within = np.asarray(parts.sums(weight * np.nan_to_num(std * std)), dtype=np.float64)
    g = parts.groups
    batch = Moments(between.weight, between.mean, between.m2 + within)
    merged = Moments(into.weight[g, c], into.mean[g, c], into.m2[g, c]).merge(batch)
    into.weight[g, c], into.mean[g, c], into.m2[g, c] = merged.weight, merged.mean, merged.m2
