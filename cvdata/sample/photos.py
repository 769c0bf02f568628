"""The photographs that ship inside dependencies, and the tiles that are cut from them.

docs/sample.md lists sources and licences.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from cvdata.errors import ConfigError
from cvdata.sample.looks import MAX_CORRELATION, Looks, clears_thresholds

Rgb = tuple[int, int, int]
Tone = tuple[Rgb, Rgb, Rgb]
Box = tuple[int, int, int, int]

SHAPES = (
    *((192, 192), (208, 176), (176, 208), (216, 168), (168, 216), (240, 180), (180, 240)),
    *((176, 176), (208, 208), (200, 160), (160, 200)),
)
"""Width and height of tiles: near enough in area that a size is odd only where one is made so."""


@dataclass(frozen=True)
class Photo:
    """One source photograph: `name` is the class; `cell` is the side, in its pixels, of a tile.

    A gray photograph is given the colours of `tone` (black, middle, white), so that gray images
    are only those that were planted.
    """

    name: str
    package: str
    path: str
    cell: int
    credit: str
    tone: Tone | None = None

    def load(self) -> Image.Image:
        """The photograph as RGB; raises `ConfigError` where the dependency does not hold it."""
        spec = find_spec(self.package)  # not imported: scikit-learn alone takes seconds
        source = Path(spec.origin or "").parent / self.path if spec else None
        if source is None or not source.is_file():
            raise ConfigError(
                f"{self.package} holds no {self.path}: reinstall cvdata's constraints"
            )
        with source.open("rb") as stream:
            picture = Image.open(stream)
            if self.tone is None:
                return picture.convert("RGB")
            black, middle, white = self.tone
            return ImageOps.colorize(picture.convert("L"), black, white, middle)


_NASA = "NASA, public domain"
_CC_BY = "CC BY 2.0"
_FREE = "no known copyright restrictions"


def _skimage(name: str, file: str, cell: int, credit: str, tone: Tone | None = None) -> Photo:
    return Photo(name, "skimage", f"data/{file}", cell, credit, tone)


PHOTOS = (
    _skimage("stars", "hubble_deep_field.jpg", 110, f"Hubble eXtreme Deep Field: {_NASA}"),
    _skimage("tissue", "ihc.png", 85, f"Center for Microscopy and Molecular Imaging: {_FREE}"),
    Photo(
        "admiral",
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        102,
        "Grace Hopper, US Navy: public domain",
    ),
    _skimage("astronaut", "astronaut.png", 102, f"Eileen Collins: {_NASA}"),
    Photo(
        "temple",
        "sklearn",
        "datasets/images/china.jpg",
        106,
        f"danielbuechele, flickr.com/photos/danielbuechele/6061409035: {_CC_BY}",
    ),
    _skimage(
        "grass",
        "grass.png",
        85,
        "linolafett, DeviantArt: CC0",
        ((10, 26, 8), (92, 134, 58), (228, 240, 196)),
    ),
    _skimage(
        "gravel",
        "gravel.png",
        102,
        "CC0Textures, Gravel04: CC0",
        ((22, 18, 30), (128, 120, 138), (236, 234, 246)),
    ),
    _skimage("coffee", "coffee.png", 100, "Rachel Michetti, Pikolo Espresso Bar: CC0"),
    _skimage(
        "camera",
        "camera.png",
        102,
        "Lav Varshney: CC0",
        ((24, 14, 6), (142, 118, 88), (250, 242, 224)),
    ),
    Photo(
        "dahlia",
        "sklearn",
        "datasets/images/flower.jpg",
        106,
        f"vultilion, flickr.com/photos/vultilion/6056698931: {_CC_BY}",
    ),
    _skimage(
        "bricks",
        "brick.png",
        102,
        "CC0Textures, Bricks25: CC0",
        ((38, 14, 10), (166, 94, 76), (250, 226, 212)),
    ),
    _skimage(
        "coins",
        "coins.png",
        96,
        f"Brooklyn Museum: {_FREE}",
        ((26, 20, 8), (134, 112, 66), (248, 236, 196)),
    ),
    _skimage("retina", "retina.jpg", 176, "Mikael Haggstrom: CC0"),
    _skimage("cat", "chelsea.png", 90, "Chelsea, by Stefan van der Walt: CC0"),
    _skimage("rocket", "rocket.jpg", 106, "SpaceX: public domain"),
)


@dataclass(frozen=True)
class Tile:
    """One cut: `box` in pixels of the photograph, `pixels` (H, W, 3) uint8 after the resize."""

    photo: Photo
    number: int
    box: Box
    pixels: npt.NDArray[np.uint8]

    @property
    def name(self) -> str:
        """`<class>_<number>`, unique."""
        return f"{self.photo.name}_{self.number:03d}"

    @property
    def image(self) -> Image.Image:
        """A fresh Pillow image of the pixels."""
        return Image.fromarray(self.pixels)


def cut_tiles(looks: Looks, seed: int, per_class: int | None = None) -> list[Tile]:
    """Tiles of every photograph that do not overlap, are not flawed, and do not look alike.

    A tile is passed over where it comes near a threshold of an issue, or near one that was taken
    before it: `looks` remembers them by name. `per_class` bounds the tiles of one photograph.
    """
    taken: list[Tile] = []
    for photo in PHOTOS:
        n_taken = 0
        for number, (box, pixels) in enumerate(_candidates(photo, seed)):
            if per_class is not None and n_taken == per_class:
                break
            tile = Tile(photo, number, box, pixels)
            if clears_thresholds(pixels) and looks.admit(pixels, tile.name, MAX_CORRELATION):
                taken.append(tile)
                n_taken += 1
    return taken


def _candidates(photo: Photo, seed: int) -> Iterator[tuple[Box, npt.NDArray[np.uint8]]]:
    """Cells of a grid over the photograph, moved by the seed, in an order of the seed."""
    source = photo.load()
    rng = generator(seed, photo.name)
    columns, rows = source.width // photo.cell, source.height // photo.cell
    left = int(rng.integers(source.width - columns * photo.cell + 1))
    top = int(rng.integers(source.height - rows * photo.cell + 1))
    for cell in rng.permutation(columns * rows):
        row, column = divmod(int(cell), columns)
        width, height = SHAPES[int(rng.integers(len(SHAPES)))]
        scale = photo.cell / max(width, height)
        w, h = int(width * scale), int(height * scale)
        x = left + column * photo.cell + (photo.cell - w) // 2
        y = top + row * photo.cell + (photo.cell - h) // 2
        box = (x, y, x + w, y + h)
        cut = source.resize((width, height), Image.Resampling.LANCZOS, box=box)
        yield box, np.asarray(cut)


def generator(seed: int, *words: str) -> np.random.Generator:
    """A random generator of its own for each purpose: one plant more moves no other."""
    text = "/".join(words).encode()
    return np.random.default_rng([seed, len(text), *text])
