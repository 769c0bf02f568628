"""SMOTE on embeddings: vectors between neighbours of a class, by imbalanced-learn."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError

NEIGHBORS = 5


def smote(
    vectors: npt.NDArray[np.float32],
    labels: list[str],
    targets: Mapping[str, int],
    seed: int = 0,
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Synthetic vectors (M, D), L2-normalised, and their classes, sorted by class.

    vectors (N, D), `labels` N names, `targets` images a class in the end; classes at or above
    their target get none. Chawla et al. 2002. Raises `ConfigError` where a class has one image:
    there is nothing to go toward.
    """
    try:
        from imblearn.over_sampling import SMOTE
    except ImportError:
        raise ConfigError("smote needs imbalanced-learn: pip install 'cvdata[smote]'") from None
    names, counts = np.unique(labels, return_counts=True)
    have = dict(zip(names.tolist(), counts.tolist(), strict=True))
    wanted = {label: n for label, n in targets.items() if n > have.get(label, 0)}
    out, classes = [np.empty((0, vectors.shape[1]), np.float32)], []
    for label in sorted(wanted):
        n = have.get(label, 0)
        if n < 2:
            raise ConfigError(
                f"smote: class {label!r} has {n} images and needs 2 at least: leave it to "
                "`oversample`, or add images"
            )
        # one class against the rest, so that no class's neighbours depend on the others' targets
        is_mine = np.array([name == label for name in labels])
        sampler = SMOTE(
            sampling_strategy={1: wanted[label]},
            k_neighbors=min(NEIGHBORS, n - 1),
            random_state=seed,
        )
        made, _ = sampler.fit_resample(_padded(vectors, is_mine), _codes(is_mine))
        fresh = made[len(made) - (wanted[label] - n) :]
        norm = np.linalg.norm(fresh, axis=1, keepdims=True)
        out.append((fresh / np.maximum(norm, 1e-12)).astype(np.float32))
        classes += [label] * len(fresh)
    return np.concatenate(out), classes


def _padded(
    vectors: npt.NDArray[np.float32], is_mine: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """The class, and one row of another: SMOTE looks only at the class itself."""
    return np.concatenate([vectors[is_mine], np.zeros((1, vectors.shape[1]), np.float32)])


def _codes(is_mine: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.append(np.ones(int(is_mine.sum()), np.int64), 0)
