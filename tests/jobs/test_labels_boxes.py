"""labels against a detector: each kind of wrong box, at its image, and no other."""

import json
from pathlib import Path

import numpy as np

from cvdata import Workspace
from tests.jobs.flows import cvdata
from tests.jobs.test_labels import predicted
from tests.outliers.making import ids_of, workspace_of

HERE, BESIDE, ELSEWHERE = [0.0, 0.0, 1.0, 1.0], [0.6, 0.0, 1.6, 1.0], [5.0, 5.0, 6.0, 6.0]
FOUND = {
    0: [("car", HERE, 0.9)],
    1: [("bus", HERE, 0.95), ("car", HERE, 0.1)],
    2: [("car", BESIDE, 0.9)],
    3: [("car", HERE, 0.9), ("bus", ELSEWHERE, 0.8)],
    4: [("car", HERE, 0.9), ("bus", ELSEWHERE, 0.3)],
    5: [("car", HERE, 0.9), ("giraffe", ELSEWHERE, 0.99)],
    6: [],
}
"""By image, whose annotation is one car at HERE; of image 6 one bus."""


def test_overlooked_badly_placed_and_swapped_boxes(tmp_path: Path) -> None:
    where, ids = tmp_path / "w", ids_of(len(FOUND))
    boxes = [["car"]] * (len(FOUND) - 1) + [["bus"]]
    workspace_of(where, None, None, {"width": np.arange(len(FOUND)) + 9.0}, boxes)
    rows = [
        {
            "image_id": ids[i],
            "revision": "1",
            "label_ids": list(range(len(found))),
            "labels": [label for label, _, _ in found],
            "scores": [score for _, _, score in found],
            "xyxy": [xyxy for _, xyxy, _ in found],
        }
        for i, found in FOUND.items()
    ]
    predicted(where, rows, "detector", boxes=True)
    flags = ("--embeddings", "", "--boxes", "detector")
    assert cvdata("labels", "--workspace", where, *flags) == 0
    judged = Workspace(str(where)).read("label_issues").to_pylist()
    flagged = {(ids.index(r["image_id"]), r["method"]): r for r in judged if r["is_flagged"]}
    # the prediction beside the car of image 2 is the car, not another one that was overlooked
    assert set(flagged) == {
        (1, "swapped"),
        (2, "badly_placed"),
        (3, "overlooked"),
    }
    swapped, placed, overlooked = (
        flagged[at] for at in ((1, "swapped"), (2, "badly_placed"), (3, "overlooked"))
    )
    assert (swapped["label"], swapped["suggested"]) == ("car", "bus")
    np.testing.assert_allclose(swapped["score"], 0.85, atol=1e-6)
    assert json.loads(placed["explanation"])["at"] == BESIDE
    np.testing.assert_allclose(placed["score"], 0.9 * (1 - 0.25), atol=1e-6)
    assert (overlooked["label"], overlooked["suggested"]) == (None, "bus")
    np.testing.assert_allclose(overlooked["score"], 0.8, atol=1e-6)
    quiet = [r for r in judged if ids.index(r["image_id"]) in (0, 5, 6)]
    assert not quiet, "what agrees, and classes that nobody annotates, are not doubted"
