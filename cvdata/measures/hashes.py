"""Perceptual hashes, bit-identical to `imagehash` 4.3.2 on the decoded image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cvdata.image import Image
from cvdata.kernels import hashing
from cvdata.measures.base import Field, Value
from cvdata.measures.views import hash_frequencies, hash_thumb

_BITS_SET = "Bits set, 0..64; near 0 or 64 the hash says nothing."


def _columns(name: str, bits: int) -> dict[str, Value]:
    return {name: bits.to_bytes(8, "big"), f"{name}_bits_set": bits.bit_count()}


@dataclass(frozen=True)
class AHash:
    """Average hash: 8×8 grey, above the mean."""

    name: ClassVar[str] = "ahash"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("ahash", "binary[8]", "Average hash, 64 bits."),
        Field("ahash_bits_set", "int32", _BITS_SET),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Hash."""
        return _columns("ahash", hashing.ahash(hash_thumb(image, 8, 8)))


@dataclass(frozen=True)
class DHash:
    """Difference hash: 9×8 grey, brighter than the left neighbour."""

    name: ClassVar[str] = "dhash"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("dhash", "binary[8]", "Difference hash, 64 bits."),
        Field("dhash_bits_set", "int32", _BITS_SET),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Hash."""
        return _columns("dhash", hashing.dhash(hash_thumb(image, 8, 9)))


@dataclass(frozen=True)
class PHash:
    """Perceptual hash: DCT-II of the 32×32 grey, top-left 8×8, above its median."""

    name: ClassVar[str] = "phash"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("phash", "binary[8]", "Perceptual (DCT) hash, 64 bits."),
        Field("phash_bits_set", "int32", _BITS_SET),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Hash."""
        return _columns("phash", hashing.phash(hash_thumb(image, 32, 32), hash_frequencies(image)))


@dataclass(frozen=True)
class PHashDihedral:
    """The smallest phash over the eight rotations and mirrors of the 32×32 grey."""

    name: ClassVar[str] = "phash_dihedral"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("phash_dihedral", "binary[8]", "Smallest phash of the eight rotations and mirrors."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Hash."""
        bits = hashing.phash_dihedral(hash_frequencies(image))
        return {"phash_dihedral": bits.to_bytes(8, "big")}


@dataclass(frozen=True)
class WHash:
    """Wavelet hash (Haar), by `imagehash` itself."""

    name: ClassVar[str] = "whash"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("whash", "binary[8]", "Wavelet (Haar) hash, 64 bits."),
        Field("whash_bits_set", "int32", _BITS_SET),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Hash."""
        import imagehash
        from PIL import Image as PilImage

        bits = hashing.pack(imagehash.whash(PilImage.fromarray(image.rgb)).hash)
        return _columns("whash", int.from_bytes(bits, "big"))


@dataclass(frozen=True)
class ColorHash:
    """Colour hash (3 bits a bin), by `imagehash` itself."""

    name: ClassVar[str] = "colorhash"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("colorhash", "binary[6]", "Colour hash, 42 bits, left-aligned, six zero bits."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Hash."""
        import imagehash
        from PIL import Image as PilImage

        colors = imagehash.colorhash(PilImage.fromarray(image.rgb), binbits=3)
        return {"colorhash": hashing.pack(colors.hash)}
