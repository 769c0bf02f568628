"""What sources with annotation files beside the images share: the listing, sizes, turned boxes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from cvdata.errors import ErrorCode
from cvdata.sources.base import Problems
from cvdata.sources.boxes import box_problem, box_warning, turn_box
from cvdata.sources.headers import Stored, read_header
from cvdata.sources.listing import Entry, display
from cvdata.sources.place import Place
from cvdata.sources.record import Box, Record, denied

BoxesIn = Literal["oriented", "stored"]
MAX_TEXT_BYTES = 16 * 1024 * 1024

Note = tuple[str, int, str]


@dataclass
class Annotated:
    """One image and what its annotation says, gathered in a thread: notes are kept in order."""

    record: Record
    notes: list[Note] = field(default_factory=list)

    def note(self, file: bytes, line: int, message: str) -> None:
        """Remember a problem of an annotation file."""
        self.notes.append((display(file), line, message))

    def keep(self, box: Box, file: bytes, line: int) -> bool:
        """Add the box; a box that is no four finite numbers is left out. Notes what is wrong."""
        problem = box_problem(box["xyxy"])
        if problem is None:
            if self.record.boxes is None:
                self.record.boxes = []
            self.record.boxes.append(box)
        wrong = problem or box_warning(box["xyxy"])
        if wrong is not None:
            shown = [round(v, 3) if isinstance(v, float) else v for v in box["xyxy"]]
            self.note(file, line, f"{wrong}: {shown}")
        return problem is None


def entry_record(place: Place, entry: Entry) -> Record:
    """The record of a listed file."""
    record = Record(entry.path, place.uri(entry.path), entry.revision, entry.size_bytes)
    if entry.error is None:
        return record
    record.size_bytes = None
    return denied(record, entry.error, entry.detail or "")


def missing_record(place: Place, path: bytes) -> Record:
    """The record of an image that an annotation names and that is not there."""
    return denied(
        Record(path, place.uri(path), "missing"), ErrorCode.NOT_FOUND, "named, but not there"
    )


def header_of(place: Place, image: Annotated) -> Stored | None:
    """Size and orientation of an image; None, and a note, where its header is broken."""
    if image.record.error is not None:
        return None
    path = image.record.key
    try:
        if place.is_local:
            with place.open(path) as file:
                return read_header(file)
        return place.retry.call(f"reading {image.record.uri}", lambda: _remote(place, path))
    except ValueError as error:
        image.note(path, 0, f"{error}; its boxes are left out")
    except FileNotFoundError:
        image.note(path, 0, "gone while listing; its boxes are left out")
    except PermissionError:
        image.note(path, 0, "may not be read; its boxes are left out")
    return None


def _remote(place: Place, path: bytes) -> Stored:
    with place.open(path) as file:
        return read_header(file)


def turn_all(boxes: Iterable[Box], stored: Stored) -> list[Box]:
    """Boxes in stored pixels -> in oriented pixels."""
    return [{**box, "xyxy": turn_box(box["xyxy"], *stored)} for box in boxes]


def turn_record(place: Place, image: Annotated, boxes_in: BoxesIn) -> None:
    """Turn the boxes of an image where its source says that they refer to stored pixels."""
    if boxes_in == "stored" and image.record.boxes:
        stored = header_of(place, image)
        image.record.boxes = None if stored is None else turn_all(image.record.boxes, stored)


def report(problems: Problems, image: Annotated) -> Record:
    """Hand over the notes of an image; its record."""
    for note in image.notes:
        problems.add(*note)
    return image.record
