"""Questions 6 to 10: classes, objects and metadata. Each function reads a `View`."""

import math

from cvdata.eda.answer import (
    Answer,
    bars,
    histogram,
    known,
    listed,
    number,
    percent,
    plural,
    profiles,
    unknown,
)
from cvdata.eda.groups import MAX_LABELS
from cvdata.eda.profile import MIN_IMAGES
from cvdata.eda.tables import View

ALIKE = 0.5
NO_LABELS = "The images have no labels, so there are no classes to compare."


def textures(view: View) -> Answer:
    """6: textures per class."""
    if not known(view.counts("label")):
        return Answer(NO_LABELS, {}, (), ("records.label",))
    field = next((f for f in ("edge_density", "gray_entropy") if f in view.profile), None)
    if field is None:
        return unknown("sharpness", "texture")
    classes = _comparable(view, field)
    if not classes:
        return Answer(f"No class has {MIN_IMAGES} images to compare textures by.", {})
    order = sorted(classes, key=lambda label: (-classes[label]["value"], label))
    first, last = order[0], order[-1]
    noun = {"edge_density": "edge density", "gray_entropy": "gray entropy"}[field]
    text = (
        f"The most textured class is {first} ({noun} {number(classes[first]['value'])}), the "
        f"smoothest {last} ({number(classes[last]['value'])})."
    )
    alike = _comparable(view, "lbp_hist")
    if alike:
        best = max(sorted(alike), key=lambda label: alike[label]["likeness"])
        text += (
            f" Textures are most alike within {best}: its local binary patterns vary "
            f"{percent(max(0.0, 1 - alike[best]['likeness']))} as much as the dataset's."
        )
    return Answer(
        text,
        {"field": field, "most": first, "least": last, "classes": classes, "lbp_hist": alike},
        (profiles(field), profiles("lbp_hist"), *(profiles(f"lbp_{i}") for i in range(10))),
    )


def _comparable(view: View, field: str) -> dict[str, dict[str, float]]:
    """Per label: value, spread, likeness of the classes that are large enough."""
    return {
        label: {
            key: value
            for key in ("value", "spread", "likeness")
            if isinstance(value := row[key], float)
        }
        for label, row in view.profile.get(field, {}).items()
        if row["likeness"] is not None
    }


def balance(view: View) -> Answer:
    """7: class balance, over the images that could be read."""
    counts = view.counts("label")
    labels = known(counts)
    if not labels:
        return Answer("The images have no labels.", {}, (), ("records.label",))
    total, pooled = sum(labels.values()), counts.get("(other)", 0)
    (top, most), (rare, least) = next(iter(labels.items())), list(labels.items())[-1]
    shares = [n / total for n in labels.values()]
    even = math.exp(-sum(s * math.log(s) for s in shares if s)) / len(labels)
    text = (
        f"{'At least ' if pooled else ''}{plural(len(labels), 'class')}: the largest, {top}, "
        f"has {plural(most, 'image')} "
        f"({percent(most / total)}), the smallest, {rare}, {least:,}: a ratio of "
        f"{number(most / least)} to 1. "
    )
    text += (
        "The classes are balanced."
        if most <= 1.5 * least
        else (f"The set is as diverse as {number(even * len(labels))} equal classes would be.")
    )
    if counts.get("(none)"):
        text += f" {plural(counts['(none)'], 'image')} have no label."
    if pooled:
        text += f" {plural(pooled, 'image')} of other classes were not counted one by one."
    return Answer(
        text,
        {
            "n_classes": len(labels),
            "largest": [top, most],
            "smallest": [rare, least],
            "imbalance_ratio": most / least,
            "evenness": even,
            "n_unlabeled": counts.get("(none)", 0),
            "by_split": {
                s: dict(list(view.counts("label", s).items())[:MAX_LABELS])
                for s in view.splits("label")
            },
        },
        (bars("label"), bars("label", "split")),
    )


def objects(view: View) -> Answer:
    """8: the most common objects."""
    boxes = view.counts("object")
    if boxes:
        total = sum(boxes.values())
        per_image = view.statistics("n_boxes") or {}
        pairs = [r for r in view.tables.cooccurrence.to_pylist() if r["a"] != r["b"]]
        text = (
            f"{plural(total, 'box')} of {plural(len(known(boxes)), 'class')}; "
            f"most often {listed(boxes, total)}."
        )
        if per_image:
            text += f" An annotated image holds {number(per_image['mean'])} on average."
        if pairs:
            text += (
                f" {pairs[0]['a']} and {pairs[0]['b']} are most often seen together "
                f"({plural(pairs[0]['n'], 'image')})."
            )
        return Answer(
            text,
            {
                "n_boxes": total,
                "objects": dict(list(boxes.items())[:MAX_LABELS]),
                "per_image": per_image,
                "together": pairs[:20],
            },
            (bars("object"), {"table": "cooccurrence"}, histogram("n_boxes")),
        )
    labels = known(view.counts("label"))
    if labels:
        text = f"There are no boxes; by label: {listed(labels, sum(labels.values()), 5)}."
        return Answer(text, {"labels": dict(list(labels.items())[:20])}, (bars("label"),))
    return Answer("The images have neither boxes nor labels.", {}, (), ("records.boxes",))


def metadata(view: View) -> Answer:
    """9: capture date, camera, GPS, resolution, software."""
    names = ("exif_month", "exif_make", "exif_model", "exif_software", "has_gps")
    found = {name: view.counts(name) for name in names}
    if not any(found.values()):
        return unknown("file")
    total = max(sum(counts.values()) for counts in found.values())
    months = sorted(m for m in known(found["exif_month"]) if m != "(invalid)")
    cameras, software = known(found["exif_model"]), known(found["exif_software"])
    gps = found["has_gps"].get("true", 0)
    parts = []
    if months:
        dated = sum(found["exif_month"][m] for m in months)
        parts.append(f"{percent(dated / total)} carry a capture date, {months[0]} to {months[-1]}")
    if cameras:
        shot = sum(cameras.values())
        parts.append(f"{percent(shot / total)} name a camera, most often {next(iter(cameras))}")
    if software:
        parts.append(f"the most common software is {next(iter(software))}")
    text = "; ".join(parts) or "No image carries a capture date, a camera or a software name"
    text += f". {plural(gps, 'image')} hold{'s' if gps == 1 else ''} a GPS position."
    size = view.statistics("megapixels")
    if size:
        text += f" The median resolution is {number(size['p50'])} megapixels."
    return Answer(
        text[0].upper() + text[1:],
        {
            "months": {m: found["exif_month"][m] for m in months},
            "makes": known(found["exif_make"]),
            "models": cameras,
            "software": software,
            "n_gps": gps,
            "n_images": total,
            "megapixels": size,
        },
        tuple(bars(name) for name in names),
    )


def likeness(view: View) -> Answer:
    """10: likeness of background and lighting within a class."""
    if not known(view.counts("label")):
        return Answer(NO_LABELS, {}, (), ("records.label",))
    background = _comparable(view, "background_lab")
    light = _comparable(view, "brightness_mean")
    measured = {"background": background, "lighting": light}
    if not view.profile.get("background_lab") and not view.profile.get("brightness_mean"):
        return unknown("border", "exposure")
    if not background and not light:
        return Answer(f"No class has {MIN_IMAGES} images to compare.", {})
    parts, numbers = [], {}
    for what, classes in measured.items():
        if not classes:
            continue
        values = {label: row["likeness"] for label, row in classes.items()}
        ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
        alike = [label for label, value in ranked if value >= ALIKE]
        numbers[what] = dict(ranked)
        parts.append(
            f"The {what} is most alike within {ranked[0][0]} (likeness {ranked[0][1]:.2f}; 1 is "
            f"all alike, 0 as varied as the dataset); {len(alike)} of {len(ranked)} classes "
            f"reach {ALIKE}"
            + (", and a model may learn it instead of the object." if alike else ".")
        )
    return Answer(
        " ".join(parts),
        {"likeness": numbers, "min_images": MIN_IMAGES, "alike_from": ALIKE},
        (profiles("background_lab"), profiles("brightness_mean"), profiles("rms_contrast")),
    )
