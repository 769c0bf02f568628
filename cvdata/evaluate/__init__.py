"""Predictions and embeddings against the truth. Arrays and tables in, numbers out; no pixels."""

from cvdata.evaluate.classification import (
    Calibration,
    Classification,
    classification,
    confusion_pairs,
    hardest,
)
from cvdata.evaluate.comparison import Comparison, compare
from cvdata.evaluate.detection import CocoScores, Objects, coco_scores
from cvdata.evaluate.masks import (
    Overlap,
    Segmentation,
    overlap,
    segmentation,
    segmentation_confusion,
)
from cvdata.evaluate.ranking import Retrieval, Verification, pairs, retrieval, verification
from cvdata.evaluate.tables import (
    Labelled,
    class_ids,
    labelled,
    objects_of_predictions,
    objects_of_records,
)

__all__ = [
    "Calibration",
    "Classification",
    "CocoScores",
    "Comparison",
    "Labelled",
    "Objects",
    "Overlap",
    "Retrieval",
    "Segmentation",
    "Verification",
    "class_ids",
    "classification",
    "coco_scores",
    "compare",
    "confusion_pairs",
    "hardest",
    "labelled",
    "objects_of_predictions",
    "objects_of_records",
    "overlap",
    "pairs",
    "retrieval",
    "segmentation",
    "segmentation_confusion",
    "verification",
]
