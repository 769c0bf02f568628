"""What an autoencoder does not give back of an image, against what it does not of the others."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cvdata.chance import shares
from cvdata.outliers.embedded import Knn
from cvdata.outliers.measured import usual
from cvdata.outliers.reference import make_reference
from cvdata.outliers.rows import F32, F64, RECONSTRUCTION, Bools, Rows
from cvdata.outliers.settings import Options

QUIET = ("detail_luma_quiet", "detail_chroma_quiet")
QUIET_WEIGHT = 2.0
"""Of the mean of the two, a coordinate of its own: where no block is quiet there is noise."""
FARTHEST = 50.0
"""z is cut here: a column of nearly one value shall not drown the others."""
LEAST_ERROR = 1e-6
"""A quarter of a grey level: what is below was given back."""


@dataclass(frozen=True)
class Profile:
    """Errors in robust units: `names` of those that vary, their medians and scales (as logs)."""

    names: tuple[str, ...]
    medians: F64
    scales: F64

    @classmethod
    def fit(cls, rows: Rows) -> "Profile":
        """Of the images that could be read."""
        return cls(*usual({name: _logarithms(rows, name) for name in RECONSTRUCTION}))

    def z(self, rows: Rows) -> F64:
        """(N, errors), NaN where the image could not be read."""
        values = np.stack([_logarithms(rows, name) for name in self.names], axis=1)
        return np.asarray(np.clip((values - self.medians) / self.scales, -FARTHEST, FARTHEST))

    def __call__(self, rows: Rows) -> tuple[F32, Bools]:
        """(N, d) coordinates, zero where the image could not be read; and where it could."""
        z = self.z(rows)
        quiet = [self.names.index(name) for name in QUIET if name in self.names]
        if quiet:
            z = np.append(z, QUIET_WEIGHT * z[:, quiet].mean(axis=1, keepdims=True), axis=1)
        is_known = np.asarray(np.isfinite(z).all(axis=1), np.bool_)
        return np.where(is_known[:, None], z, 0).astype(np.float32), is_known


@dataclass(frozen=True)
class Reconstruction:
    """Mean distance of an image's errors to those of the k usual images that err most alike.

    Neither end of one error is strange by itself: a flat foreign image is given back better than
    most, gravel worse. Strange is an error that goes with no other as it usually does: luma with
    chroma, the whole with the detail, the mean with the quietest blocks. So the errors are
    coordinates (`Profile`) and are judged like an embedding, by `Knn`. After Zong et al. 2018,
    who take the density of several errors in the place of one.
    """

    profile: Profile
    knn: Knn

    @classmethod
    def fit(cls, rows: Rows, options: Options, least: int) -> "Reconstruction | str":
        """Of the images that could be read; why not, where fewer than `least` are of use."""
        profile = Profile.fit(rows)
        if not profile.names:
            return "no reconstruction errors that vary"
        found, is_known = profile(rows)
        mine = rows.take(is_known)
        share = shares(mine.table["image_id"], options.seed)
        reference = make_reference(found[is_known], mine.ids, share, options.trim)
        n = int(reference.is_usual.sum())
        if n < least:
            return f"only {n} images that err each in its own way; {least} are needed"
        return cls(profile, Knn.fit(reference, options.neighbors, options.seed))

    def score(self, rows: Rows) -> F64:
        """(N,) in robust units; NaN where the image could not be read."""
        found, is_known = self.profile(rows)
        out = np.full(len(rows), np.nan)
        if is_known.any():
            out[is_known] = self.knn.score(found[is_known])
        return out

    def explain(self, rows: Rows) -> list[dict[str, Any]]:
        """Each error, what it usually is, its z, the oddest first; and who errs most alike."""
        z, columns = self.profile.z(rows), [rows.number(name) for name in self.profile.names]
        near = self.knn.explain(self.profile(rows)[0], 3)
        told: list[dict[str, Any]] = []
        for i, one in enumerate(near):
            found = [
                {
                    "name": name,
                    "value": _brief(float(columns[j][i])),
                    "median": _brief(float(np.exp(self.profile.medians[j]))),
                    "z": _brief(float(z[i, j])),
                }
                for j, name in enumerate(self.profile.names)
            ]
            found.sort(key=lambda e: -abs(float(str(e["z"]))))
            told.append({"errors": found, "alike": one["neighbors"]})
        return told


def _logarithms(rows: Rows, name: str) -> F64:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.log(rows.number(name) + LEAST_ERROR))


def _brief(value: float) -> float:
    return float(f"{value:.5g}")
