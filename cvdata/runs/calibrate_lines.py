"""A calibration in words: the table of thresholds, and what was chosen."""

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN_STEP = 5
"""Hundredths of cosine between the rows that are printed; the chosen ones are printed too."""


def lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """The figures for a person."""
    yield (
        f"calibrate: {entry['model']} on {entry['n_planted']:,} planted copies of "
        f"{entry['n_images']:,} images"
    )
    yield "  cosine   alone: recall  false/10,000   looked at: recall  false/10,000  looks/image"
    chosen = entry["alone"], entry["candidate"]
    for row in entry["cosines"]:
        cosine = row["threshold"]
        if round(cosine * 100) % SHOWN_STEP and cosine not in chosen:
            continue
        marks = ("a" if cosine == chosen[0] else " ") + ("c" if cosine == chosen[1] else " ")
        yield (
            f"  {cosine:.2f} {marks}       {row['recall']:7.1%}  {row['false_per_10000']:12.2f}"
            f"            {row['recall_looked']:7.1%}  {row['false_looked_per_10000']:12.2f}"
            f"  {row['looks_per_image']:11.2f}"
        )
    yield "  radius   phash: recall  false pairs   dihedral: recall  false pairs"
    for row in entry["radii"]:
        yield (
            f"  {row['radius']:4}           {row['recall']:7.1%}  {row['false_pairs']:11,}"
            f"            {row['dihedral_recall']:7.1%}  {row['dihedral_false_pairs']:11,}"
        )
    look = entry["verification"]
    yield (
        f"  second look: {look['n_accepted']:,} of {look['n_copies']:,} planted copies accepted "
        f"({look['recall']:.1%}), {look['n_wrong']:,} of {look['n_unrelated']:,} unrelated pairs"
    )
    yield (
        f"  kept: cosine {chosen[0]:.2f} makes a copy by itself (a); {chosen[1]:.2f} is worth a "
        "second look (c)"
    )
