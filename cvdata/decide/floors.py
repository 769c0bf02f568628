"""Per-class floors: the best of those that would drop come back until a class has enough."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Candidate = tuple[bool, int, float, int, bytes]
"""(is a copy of what is kept, dropping reasons, worst severity, -pixels, image_id): least first."""


@dataclass
class FloorTally:
    """Per class: images, those kept, and the best candidates to come back, at most `floor` each."""

    n_images: dict[str, int] = field(default_factory=dict)
    n_kept: dict[str, int] = field(default_factory=dict)
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)

    def add(self, label: str, n_images: int, n_kept: int) -> None:
        """Count the images of one class."""
        self.n_images[label] = self.n_images.get(label, 0) + n_images
        self.n_kept[label] = self.n_kept.get(label, 0) + n_kept

    def offer(self, label: str, candidates: list[Candidate], floor: int) -> None:
        """Images that may come back; the best `floor` are remembered."""
        best = sorted([*self.candidates.get(label, []), *candidates])[:floor]
        if best:
            self.candidates[label] = best

    def merge(self, other: "FloorTally", floors: Mapping[str, int]) -> "FloorTally":
        """Both together; any grouping and order of ranges ends the same."""
        merged = FloorTally()
        for part in (self, other):
            for label, n in part.n_images.items():
                merged.add(label, n, part.n_kept.get(label, 0))
            for label, found in part.candidates.items():
                merged.offer(label, found, floors[label])
        return merged

    def restored(self, floors: Mapping[str, int]) -> dict[str, list[bytes]]:
        """Ids that come back, by class."""
        out = {}
        for label, found in sorted(self.candidates.items()):
            lack = max(0, floors[label] - self.n_kept.get(label, 0))
            if lack:
                out[label] = [candidate[-1] for candidate in found[:lack]]
        return out
