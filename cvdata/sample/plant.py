"""What is planted where: every tile becomes a clean image or one finding, some get copies."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from cvdata.errors import ConfigError, ErrorCode
from cvdata.sample import cameras, hostile
from cvdata.sample.edits import BY_NAME, BYTE_COPY, EDITS, Edit
from cvdata.sample.encode import jpeg, png
from cvdata.sample.flaws import FLAWS, Flaw
from cvdata.sample.layouts import LAYOUTS, WRONG, Layout, stretched
from cvdata.sample.photos import PHOTOS, Tile, generator
from cvdata.sample.tree import Entry, Pixels, Tree

BOXED = "coins"
"""The class that boxes/coins.json describes: its tiles stay as they are."""

SPLITS = (*("train", "val", "test"), *["train"] * 5, "val", "train", "test", *["train"] * 3)
LEAKS = (
    *("byte_copy", "resaved_png", "reencoded_q50", "resized_75", "mirrored", "cropped_90"),
    *("recoloured_brighter", "byte_copy"),
)
PILE = (
    *("byte_copy", "resaved_png", "reencoded_q35", "resized_50", "cropped_90", "mirrored"),
    *("rotated_90", "recoloured_gamma", "text_bar", "border_25"),
)
"""Copies of one single image."""

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How pixels are stored under an EXIF orientation: what a reader undoes."""


@dataclass(frozen=True)
class Amounts:
    """How much of everything. `per_class` bounds the tiles of a class, None takes all."""

    per_class: int | None
    flaws: int
    copies: int
    leaks: int
    mislabeled: int
    conflicts: int
    is_every_bad_file: bool


@dataclass
class Planter:
    """Takes tiles from two piles: `spare` become findings, `clean` stay and may get copies."""

    seed: int
    tree: Tree
    splits: dict[str, str]
    spare: list[Tile]
    clean: list[Tile]

    @classmethod
    def of(cls, seed: int, tiles: list[Tile]) -> "Planter":
        """Half of each class's tiles may become findings, but none of the boxed class."""
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
        return cls(seed, Tree(), splits, [spare[i] for i in order], clean)

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

    def take(self) -> Tile:
        """The next tile to become a finding."""
        if not self.spare:
            raise ConfigError(f"seed {self.seed} leaves too few tiles: take another one")
        return self.spare.pop()

    def take_for(self, make: Callable[[Tile], bytes | None]) -> tuple[Tile, bytes]:
        """The next tile that `make` can use, with what it made; others go to the back."""
        for _ in range(len(self.spare)):
            tile = self.take()
            data = make(tile)
            if data is not None:
                return tile, data
            self.spare.insert(0, tile)
        raise ConfigError(f"seed {self.seed} leaves no tile of the kind needed: take another one")

    def flaws(self, at_most: int) -> None:
        """Plant the issues. First of all: the blurry ones are choosy."""
        for flaw in FLAWS:
            for variant in range(min(flaw.count, at_most)):
                tile, data = self.take_for(self._flawed(flaw, variant))
                name = f"{tile.name}_{flaw.issue}.{flaw.extension}"
                path = self.tree.add(self.entry(tile, name, data, flaw.issue))
                self.tree.issues[flaw.issue].append(path)

    def _flawed(self, flaw: Flaw, variant: int) -> Callable[[Tile], bytes | None]:
        rng = generator(self.seed, flaw.issue, str(variant))
        return lambda tile: flaw.make(tile.image, variant, rng)

    def layouts(self) -> None:
        """Plant one tile in every mode and format."""
        for layout in LAYOUTS:
            tile = self.take()
            name = f"{tile.name}_{layout.name}.{layout.extension}"
            made = self.entry(tile, name, layout.make(tile.image), layout.name)
            exif: cameras.Facts | None = {"orientation": 3} if layout.name == "turned" else None
            path = self.tree.add(
                replace(made, flags=layout.flags, exif=exif, pixels=_seen(layout, tile))
            )
            if WRONG in layout.flags:
                self.tree.issues["wrong_extension"].append(path)
            if layout.name == "turned":
                self.tree.issues["exif_rotated"].append(path)

    def names(self) -> None:
        """Plant good images under bad names."""
        for name in hostile.NAMES:
            tile = self.take()
            entry = self.entry(tile, "", jpeg(tile.image), "hostile_name")
            self.tree.add(replace(entry, name=name))

    def mislabel(self, count: int) -> None:
        """File tiles under another class."""
        rng = generator(self.seed, "mislabeled")
        for _ in range(count):
            tile = self.take()
            label = self._other_label(tile, rng)
            entry = self.entry(tile, f"{tile.name}.jpg", jpeg(tile.image), "wrong_label")
            name = f"{label}_{100 + len(self.tree.label_errors)}.jpg".encode()
            path = self.tree.add(replace(entry, label=label, name=name))
            self.tree.mislabel(path, tile.photo.name)

    def _other_label(self, tile: Tile, rng: np.random.Generator) -> str:
        others = [photo.name for photo in PHOTOS if photo != tile.photo]
        return others[int(rng.integers(len(others)))]

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

    def copies(self, bases: list[str], amounts: Amounts) -> None:
        """Give copies to the first of `bases`, which are used up."""
        for edit in EDITS:
            for _ in range(amounts.copies):
                self._copy(bases.pop(), edit)
        pile = bases.pop()
        for name in PILE:
            self._copy(pile, BY_NAME[name])
        for number in range(amounts.leaks):
            edit = BY_NAME[LEAKS[number % len(LEAKS)]]
            base = self._next(bases, "train")
            self._copy(base, edit, split=("val", "test")[number % 2])
        for number in range(amounts.conflicts):
            edit = BYTE_COPY if number % 2 == 0 else BY_NAME["reencoded_q70"]
            self._conflict(bases.pop(), edit, generator(self.seed, "conflict", str(number)))
        self._orient(bases.pop())

    def _next(self, bases: list[str], split: str) -> str:
        for place in reversed(range(len(bases))):
            if self.tree.entries[bases[place]].split == split:
                return bases.pop(place)
        raise ConfigError(f"seed {self.seed} leaves no tile in {split}: take another one")

    def _edited(self, base: str, edit: Edit) -> Entry:
        one = self.tree.entries[base]
        stem = one.name.decode().rpartition(".")[0]
        data = edit.make(one.data, generator(self.seed, edit.name, base))
        name = f"{stem}_{edit.name}.{edit.extension}".encode()
        keeps_exif = edit.name in ("byte_copy", "commented")
        exif = one.exif if keeps_exif else None
        return replace(one, name=name, data=data, base=base, plants=(edit.name,), exif=exif)

    def _copy(self, base: str, edit: Edit, split: str | None = None) -> None:
        made = self._edited(base, edit)
        if split is not None:
            made = replace(made, split=split, plants=(*made.plants, "leak"))
        self.tree.add_copy(base, edit.name, made)

    def _conflict(self, base: str, edit: Edit, rng: np.random.Generator) -> None:
        made = self._edited(base, edit)
        others = [photo.name for photo in PHOTOS if photo.name != made.label]
        label = others[int(rng.integers(len(others)))]
        plants = (*made.plants, "label_conflict")
        path = self.tree.add_copy(base, edit.name, replace(made, label=label, plants=plants))
        self.tree.mislabel(path, self.tree.entries[base].label)

    def _orient(self, base: str) -> None:
        """The base stored in each EXIF orientation."""
        one = self.tree.entries[base]
        for orientation, turn in TURNS.items():
            upright = Image.fromarray(one.decoded())
            stored = upright if turn is None else upright.transpose(turn)
            facts: cameras.Facts = {"orientation": orientation}
            data = jpeg(stored, 95, exif=cameras.exif_bytes(facts))
            edit = f"exif_{orientation}"
            name = f"{one.name.decode().rpartition('.')[0]}_{edit}.jpg".encode()
            made = replace(one, name=name, data=data, base=base, plants=(edit,), exif=facts)
            path = self.tree.add_copy(base, edit, made)
            if orientation > 1:
                self.tree.issues["exif_rotated"].append(path)


def _seen(layout: Layout, tile: Tile) -> Pixels | None:
    """What a reader must see of a mode that Pillow's own `convert` has no rule for."""
    if layout.name in ("mode_i16", "tiff_i16", "tiff_float"):
        return np.repeat(stretched(tile.image)[..., None], 3, axis=2)
    return tile.pixels if layout.name == "tiff_lab" else None
