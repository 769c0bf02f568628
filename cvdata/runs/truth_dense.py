"""Boxes and masks of a model against those of the records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ImageError
from cvdata.evaluate import (
    Objects,
    coco_scores,
    objects_of_predictions,
    objects_of_records,
    overlap,
    segmentation,
    segmentation_confusion,
)
from cvdata.evaluate.classification import calibration
from cvdata.evaluate.matching import Matches, match
from cvdata.models.restoring import decode_mask
from cvdata.runs.truth import LISTED, Asked, Row, Verdict, View, curve_of, pieces, scopes
from cvdata.stages.masks import read_masks

Labels = npt.NDArray[np.uint8]
MASKS_AT_ONCE = 64
LEFT_OUT = 255
UNLIKE = 0.02
"""Most that the aspect ratios of a mask and its image may differ."""
BACKGROUND, FOREGROUND, IGNORE = "background", "foreground", "ignore"


@dataclass
class _Met:
    """The boxes of the images measured so far, and how each image went."""

    truth: list[Objects] = field(default_factory=list)
    found: list[Objects] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    hardest: list[dict[str, Any]] = field(default_factory=list)
    matches: Matches = field(default_factory=Matches)


def boxes(view: View, asked: Asked) -> Verdict | None:
    """A detector against `boxes`; None where no image has any of a class that the model knows."""
    met, n_unlabelled, n_failed = _Met(), 0, 0
    for records, rows in pieces(view, asked, ["label_ids", "scores", "xyxy"]):
        has_truth = pc.is_valid(records["boxes"])
        n_unlabelled += len(records) - (pc.sum(has_truth).as_py() or 0)
        records, rows = records.filter(has_truth), rows.filter(has_truth)
        is_good = pc.is_null(rows["error"])
        n_failed += len(rows) - (pc.sum(is_good).as_py() or 0)
        _meet(met, records.filter(is_good), rows.filter(is_good), asked)
    if not any(len(one.label_ids) for one in met.truth):
        return None
    whole = coco_scores(met.truth, met.found)
    splits = {}
    for split in sorted(set(met.splits) - {""}) if len(set(met.splits)) > 1 else ():
        mine = [i for i, s in enumerate(met.splits) if s == split]
        part = coco_scores([met.truth[i] for i in mine], [met.found[i] for i in mine])
        splits[split] = {"n_images": float(len(mine)), **part.stats}
    curve = calibration(met.matches.is_right, met.matches.scores)
    numbers = {"n_images": float(len(met.truth)), **whole.stats, "ece": curve.error}
    rows_: list[Row] = scopes(numbers, splits)
    counts = Counter(int(c) for one in met.truth for c in one.label_ids)
    name = _namer(asked.names)
    listed = []
    for label in sorted(counts):
        value = whole.by_class.get(label, 0.0)
        listed.append({"label": name(label), "n": counts[label], "map": value})
        rows_.append(("label", name(label), "map", value))
    confused = sorted(met.matches.confused.items(), key=lambda kv: (-kv[1], kv[0]))
    confusions = [
        {"truth": name(t), "predicted": name(p), "n": n, "rate": n / counts[t]}
        for (t, p), n in confused[:LISTED]
    ]
    bins = curve_of(curve.low, curve.high, curve.n, curve.confidence, curve.accuracy)
    return Verdict(
        "boxes", len(met.truth), n_unlabelled, n_failed, tuple(rows_), tuple(listed),
        tuple(confusions), bins, tuple(met.hardest),
    )  # fmt: skip


def _meet(met: _Met, records: pa.Table, rows: pa.Table, asked: Asked) -> None:
    truth = objects_of_records(records, asked.names, asked.aliases)
    found = objects_of_predictions(rows)
    ids, splits = records["image_id"].to_pylist(), records["split"].to_pylist()
    for image_id, split, true, said in zip(ids, splits, truth, found, strict=True):
        one = match(true, said)
        met.matches += one
        if one.n_wrong:
            wrong = {
                "missed": one.n_missed,
                "made_up": one.n_spurious,
                "confused": sum(one.confused.values()),
            }
            met.hardest.append({"image_id": image_id.hex(), "f1": one.f1, **wrong})
        met.truth.append(true)
        met.found.append(said)
        met.splits.append(split or "")
    met.hardest.sort(key=lambda h: (h["f1"], -h["missed"] - h["made_up"], h["image_id"]))
    del met.hardest[LISTED:]


def masks(view: View, asked: Asked) -> Verdict | None:
    """A segmenter against `mask_uri`; None where no image has a mask that can be read.

    With `mask_values` class by class; without, what is not 0 in the mask against the union of all
    that was found.
    """
    classes = [BACKGROUND, *(asked.mask_values[v] for v in sorted(asked.mask_values))]
    classes = [c for c in dict.fromkeys(classes) if c != IGNORE]
    classes = classes if asked.mask_values else [BACKGROUND, FOREGROUND]
    met = _Painted(np.zeros((len(classes), len(classes)), np.int64))
    for records, rows in pieces(view, asked, ["labels", "scores", "masks"]):
        for start in range(0, len(records), MASKS_AT_ONCE):
            some = records.slice(start, MASKS_AT_ONCE)
            said = rows.slice(start, MASKS_AT_ONCE).to_pylist()
            ids = some["image_id"].to_pylist()
            for image_id, truth, row in zip(ids, read_masks(some), said, strict=True):
                _paint(met, image_id, truth, row, asked, classes)
    return _of_masks(met, classes) if met.means else None


@dataclass
class _Painted:
    """Pixels of the images measured so far, and how each image went."""

    confusion: npt.NDArray[np.int64]
    means: list[tuple[float, float]] = field(default_factory=list)
    hardest: list[dict[str, Any]] = field(default_factory=list)
    n_unlabelled: int = 0
    n_failed: int = 0


def _paint(
    met: _Painted,
    image_id: bytes,
    truth: Labels | ImageError | None,
    row: Mapping[str, Any],
    asked: Asked,
    classes: Sequence[str],
) -> None:
    if truth is None:
        met.n_unlabelled += 1
        return
    if isinstance(truth, ImageError) or row["error"] is not None:
        met.n_failed += 1
        return
    true = _true_map(truth, asked, classes)
    said = _at_size(_found_map(row, asked, classes), (true.shape[0], true.shape[1]))
    if said is None:
        met.n_failed += 1
        return
    met.confusion += segmentation_confusion(true, said, len(classes))
    is_known = true != LEFT_OUT
    one = overlap((true > 0) & is_known, (said > 0) & is_known)
    met.means.append((one.iou, one.dice))
    if one.iou < 1:
        met.hardest.append({"image_id": image_id.hex(), "iou": one.iou, "dice": one.dice})
    if len(met.hardest) > 4 * LISTED:
        met.hardest = _worst(met.hardest)


def _worst(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(images, key=lambda h: (h["iou"], h["image_id"]))[:LISTED]


def _of_masks(met: _Painted, classes: Sequence[str]) -> Verdict:
    whole = segmentation(met.confusion)
    iou, dice = np.mean(met.means, axis=0)
    numbers = {
        "n_images": float(len(met.means)),
        "mean_iou": whole.mean_iou,
        "mean_dice": whole.mean_dice,
        "pixel_accuracy": whole.pixel_accuracy,
        "image_iou": float(iou),
        "image_dice": float(dice),
    }
    rows = scopes(numbers, {})
    listed = []
    for i, label in enumerate(classes):
        if np.isnan(whole.iou[i]):
            continue
        values = {"iou": float(whole.iou[i]), "dice": float(whole.dice[i])}
        listed.append({"label": label, "n": int(met.confusion[i].sum()), **values})
        rows += [("label", label, metric, value) for metric, value in values.items()]
    hardest = tuple(_worst(met.hardest))
    n, left_out = len(met.means), (met.n_unlabelled, met.n_failed)
    return Verdict("masks", n, *left_out, tuple(rows), tuple(listed), hardest=hardest)


def _true_map(mask: Labels, asked: Asked, classes: Sequence[str]) -> Labels:
    """Pixel values as places in `classes`; 255 where they are to be left out."""
    if not asked.mask_values:
        return (mask > 0).astype(np.uint8)
    table = np.zeros(256, np.uint8)
    for value, name in asked.mask_values.items():
        table[value] = LEFT_OUT if name == IGNORE else classes.index(name)
    return table[mask]


def _found_map(row: Mapping[str, Any], asked: Asked, classes: Sequence[str]) -> Labels:
    """The model's masks painted, the most certain last; (0, 0) where it found nothing."""
    found: Labels = np.zeros((0, 0), np.uint8)
    for label, mask in reversed(list(zip(row["labels"], row["masks"], strict=True))):
        if not found.size:
            found = np.zeros(tuple(mask["size"]), np.uint8)
        name = label if asked.mask_values else FOREGROUND
        if name in classes:
            found[decode_mask(mask)] = classes.index(name)
    return found


def _at_size(found: Labels, shape: tuple[int, int]) -> Labels | None:
    """The map sampled under the centres of the truth's pixels; None where the shapes are unlike.

    Masks are often stored smaller than their images.
    """
    if not found.size:
        return np.zeros(shape, np.uint8)
    if abs(found.shape[0] * shape[1] / (found.shape[1] * shape[0]) - 1) > UNLIKE:
        return None
    rows, columns = (
        ((np.arange(n) + 0.5) * have / n).astype(int)
        for n, have in zip(shape, found.shape, strict=True)
    )
    sampled: Labels = found[np.ix_(rows, columns)]
    return sampled


def _namer(names: Sequence[str]) -> Any:
    return lambda i: names[i] if 0 <= i < len(names) else str(i)
