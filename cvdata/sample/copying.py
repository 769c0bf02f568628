"""Copies of clean tiles: in their own split, in another one, under another class."""

from dataclasses import dataclass, replace

from PIL import Image

from cvdata.errors import ConfigError
from cvdata.sample import cameras
from cvdata.sample.edits import BY_NAME, BYTE_COPY, EDITS, Edit
from cvdata.sample.encode import jpeg
from cvdata.sample.looks import Looks
from cvdata.sample.photos import generator
from cvdata.sample.plant import other_label
from cvdata.sample.tree import Entry, Tree

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


@dataclass
class Copier:
    """Uses up `bases`, the encoded paths of clean JPEGs, one for each copy."""

    seed: int
    tree: Tree
    looks: Looks
    bases: list[str]

    def every_edit(self, count: int) -> None:
        """Copies in the split and class of their base, `count` of each edit."""
        for edit in EDITS:
            for _ in range(count):
                self._put(edit, self._next(edit))

    def pile(self) -> None:
        """Many copies of one base."""
        edits = [BY_NAME[name] for name in PILE]
        for place in reversed(range(len(self.bases))):
            made = [self._edited(self.bases[place], edit) for edit in edits]
            if all(self._is_apart(entry) for entry in made):
                self.bases.pop(place)
                for edit, entry in zip(edits, made, strict=True):
                    self._put(edit, entry)
                return
        raise self._exhausted("a pile")

    def leaks(self, count: int) -> None:
        """Copies of training images, in val and test by turns."""
        for number in range(count):
            edit = BY_NAME[LEAKS[number % len(LEAKS)]]
            made = self._next(edit, "train")
            split = ("val", "test")[number % 2]
            self._put(edit, replace(made, split=split, plants=(*made.plants, "leak")))

    def conflicts(self, count: int) -> None:
        """Copies under another class than their base."""
        for number in range(count):
            edit = BYTE_COPY if number % 2 == 0 else BY_NAME["reencoded_q70"]
            made = self._next(edit)
            label = other_label(made.label, generator(self.seed, "conflict", str(number)))
            plants = (*made.plants, "label_conflict")
            path = self._put(edit, replace(made, label=label, plants=plants))
            self.tree.mislabel(path, made.label)

    def orientations(self) -> None:
        """One base, stored in each EXIF orientation."""
        base = self.bases.pop()
        one = self.tree.entries[base]
        for orientation, turn in TURNS.items():
            upright = Image.fromarray(one.decoded())
            stored = upright if turn is None else upright.transpose(turn)
            facts: cameras.Facts = {"orientation": orientation}
            data = jpeg(stored, 95, exif=cameras.exif_bytes(facts))
            edit = f"exif_{orientation}"
            name = f"{_stem(one)}_{edit}.jpg".encode()
            made = replace(one, name=name, data=data, base=base, plants=(edit,), exif=facts)
            path = self.tree.add_copy(base, edit, made)
            if orientation > 1:
                self.tree.issues["exif_rotated"].append(path)

    def _next(self, edit: Edit, split: str | None = None) -> Entry:
        """A copy of the last base in `split` that suits the edit and stays unlike all others."""
        for place in reversed(range(len(self.bases))):
            base = self.tree.entries[self.bases[place]]
            if split in (None, base.split) and edit.suits(base.data):
                made = self._edited(self.bases[place], edit)
                if self._is_apart(made):
                    self.bases.pop(place)
                    return made
        raise self._exhausted(edit.name)

    def _exhausted(self, what: str) -> ConfigError:
        return ConfigError(f"seed {self.seed} leaves no tile for {what}: take another one")

    def _is_apart(self, copy: Entry) -> bool:
        assert copy.base is not None  # noqa: S101 - a copy has one
        return self.looks.admit(copy.decoded(), _stem(self.tree.entries[copy.base]))

    def _edited(self, base: str, edit: Edit) -> Entry:
        one = self.tree.entries[base]
        data = edit.make(one.data, generator(self.seed, edit.name, base))
        name = f"{_stem(one)}_{edit.name}.{edit.extension}".encode()
        exif = one.exif if edit.name in ("byte_copy", "commented") else None
        return replace(one, name=name, data=data, base=base, plants=(edit.name,), exif=exif)

    def _put(self, edit: Edit, made: Entry) -> str:
        assert made.base is not None  # noqa: S101 - a copy has one
        return self.tree.add_copy(made.base, edit.name, made)


def _stem(entry: Entry) -> str:
    """Of a clean tile: the name of the tile."""
    return entry.name.decode().rpartition(".")[0]
