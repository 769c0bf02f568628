"""What is planted where: every tile becomes a clean image or one finding."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cvdata.errors import ConfigError, ErrorCode
from cvdata.sample import cameras, hostile
from cvdata.sample.encode import jpeg, png
from cvdata.sample.flaws import FLAWS, Flaw
from cvdata.sample.layouts import LAYOUTS, WRONG, Layout, stretched
from cvdata.sample.looks import Looks
from cvdata.sample.photos import PHOTOS, Tile, cut_tiles, generator
from cvdata.sample.tree import Entry, Pixels, Tree

BOXED = "coins"
"""The class that boxes/coins.json describes: its tiles stay as they are."""

SPLITS = (*("train", "val", "test"), *["train"] * 5, "val", "train", "test", *["train"] * 3)


@dataclass
class Planter:
    """Takes tiles from two piles: `spare` become findings, `clean` stay and may get copies."""

    seed: int
    tree: Tree
    looks: Looks
    splits: dict[str, str]
    spare: list[Tile]
    clean: list[Tile]

    @classmethod
    def of(cls, seed: int, per_class: int | None) -> "Planter":
        """Half of each class's tiles may become findings, but none of the boxed class."""
        looks = Looks()
        tiles = cut_tiles(looks, seed, per_class)
        splits: dict[str, str] = {}
        spare: list[Tile] = []
        clean: list[Tile] = []
        for photo in PHOTOS:
            own = [tile for tile in tiles if tile.photo == photo]
            for place, tile in enumerate(own):
                splits[tile.name] = SPLITS[place % len(SPLITS)]
                is_spare = place % 2 == 1 and photo.name != BOXED
                (spare if is_spare else clean).append(tile)
        order = generator(seed, "spare").permutation(len(spare))
        return cls(seed, Tree(), looks, splits, [spare[i] for i in order], clean)

    def entry(self, tile: Tile, name: str, data: bytes, *plants: str) -> Entry:
        """An entry in the tile's own class and split; `name` has an extension."""
        return Entry(
            self.splits[tile.name],
            tile.photo.name,
            name.encode(),
            data,
            plants=plants,
            photo=tile.photo.name,
            box=tile.box,
        )

    def take(self, make: Callable[[Tile], Entry | None]) -> Entry:
        """What `make` gives for the next tile that suits it and comes out unlike all others.

        The tile is used up; those passed over go to the back.
        """
        for _ in range(len(self.spare)):
            tile = self.spare.pop()
            entry = make(tile)
            if entry is not None and self.looks.admit(entry.decoded(), tile.name):
                return entry
            self.spare.insert(0, tile)
        raise ConfigError(f"seed {self.seed} leaves too few tiles: take another one")

    def flaws(self, at_most: int) -> None:
        """Plant the issues. First of all: the blurry ones are choosy."""
        for flaw in FLAWS:
            for variant in range(min(flaw.count, at_most)):
                path = self.tree.add(self.take(self._flawed(flaw, variant)))
                self.tree.issues[flaw.issue].append(path)

    def _flawed(self, flaw: Flaw, variant: int) -> Callable[[Tile], Entry | None]:
        rng = generator(self.seed, flaw.issue, str(variant))

        def make(tile: Tile) -> Entry | None:
            data = flaw.make(tile.image, variant, rng)
            name = f"{tile.name}_{flaw.issue}.{flaw.extension}"
            return None if data is None else self.entry(tile, name, data, flaw.issue)

        return make

    def layouts(self) -> None:
        """Plant one tile in every mode and format."""
        for layout in LAYOUTS:
            path = self.tree.add(self.take(self._laid_out(layout)))
            if WRONG in layout.flags:
                self.tree.issues["wrong_extension"].append(path)
            if layout.name == "turned":
                self.tree.issues["exif_rotated"].append(path)

    def _laid_out(self, layout: Layout) -> Callable[[Tile], Entry]:
        exif: cameras.Facts | None = {"orientation": 3} if layout.name == "turned" else None

        def make(tile: Tile) -> Entry:
            name = f"{tile.name}_{layout.name}.{layout.extension}"
            made = self.entry(tile, name, layout.make(tile.image), layout.name)
            return replace(made, flags=layout.flags, exif=exif, pixels=_seen(layout, tile))

        return make

    def names(self) -> None:
        """Plant good images under bad names."""
        for name in hostile.NAMES:
            entry = self.take(lambda t: self.entry(t, "", jpeg(t.image), "hostile_name"))
            self.tree.add(replace(entry, name=name))

    def mislabel(self, count: int) -> None:
        """File tiles under another class."""
        rng = generator(self.seed, "mislabeled")
        for number in range(count):
            entry = self.take(lambda t: self.entry(t, "", jpeg(t.image), "wrong_label"))
            label = other_label(entry.label, rng)
            name = f"{label}_{100 + number}.jpg".encode()
            path = self.tree.add(replace(entry, label=label, name=name))
            self.tree.mislabel(path, entry.label)

    def bad_files(self, is_every: bool) -> None:
        """Plant what cannot be read: every case, or the first of each code."""
        seen: set[ErrorCode] = set()
        for bad in hostile.BAD:
            if bad.code in seen and not is_every:
                continue
            seen.add(bad.code)
            tile = self.clean[len(self.tree.entries) % len(self.clean)]
            entry = self.entry(tile, bad.name, bad.make(tile.image), bad.name.replace(".", "_"))
            self.tree.add(replace(entry, error=bad.code, photo=None, box=None))
        link = Entry("train", PHOTOS[0].name, hostile.LINK, link=hostile.LINK_TARGET)
        self.tree.add(replace(link, error=ErrorCode.PATH_DENIED, plants=("link_outside",)))

    def clean_tiles(self) -> list[str]:
        """Write the tiles that stay as they are; the paths of those that are JPEGs, shuffled."""
        rng = generator(self.seed, "clean")
        photographed, jpegs = 0, []
        for place, tile in enumerate(self.clean + self.spare):
            quality = int(rng.choice((85, 88, 90, 92, 95)))
            if place % 12 == 7 and tile.photo.name != BOXED:
                self.tree.add(self.entry(tile, f"{tile.name}.png", png(tile.image)))
                continue
            facts = None
            options: dict[str, bytes | int] = {"subsampling": int(rng.choice((0, 2)))}
            if place % 5 < 2:
                facts = cameras.shoot(photographed, rng)
                options["exif"] = cameras.exif_bytes(facts)
                photographed += 1
            data = jpeg(tile.image, quality, **options)
            entry = self.entry(tile, f"{tile.name}.jpg", data)
            jpegs.append(self.tree.add(replace(entry, exif=facts)))
        return [jpegs[i] for i in rng.permutation(len(jpegs))]


def other_label(label: str, rng: np.random.Generator) -> str:
    """A class that is not `label`."""
    others = [photo.name for photo in PHOTOS if photo.name != label]
    return others[int(rng.integers(len(others)))]


def _seen(layout: Layout, tile: Tile) -> Pixels | None:
    """What a reader must see of a mode that Pillow's own `convert` has no rule for."""
    if layout.name in ("mode_i16", "tiff_i16", "tiff_float"):
        return np.repeat(stretched(tile.image)[..., None], 3, axis=2)
    return tile.pixels if layout.name == "tiff_lab" else None
