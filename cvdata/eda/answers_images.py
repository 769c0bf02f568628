"""Questions 1 to 5: what the images look like. Each function reads a `View`."""

from cvdata.eda.answer import (
    Answer,
    bars,
    grid,
    histogram,
    known,
    listed,
    number,
    percent,
    plural,
    unknown,
)
from cvdata.eda.tables import View

DARK, BRIGHT = 0.3, 0.7
LOW_CONTRAST = 0.1
SMOOTH, BUSY = 0.02, 0.2


def dimensions(view: View) -> Answer:
    """1: how large the images are."""
    width, height = view.statistics("width"), view.statistics("height")
    sizes = view.counts("size")
    if not (width and height and sizes):
        return unknown("geometry")
    total = int(width["count"])
    different = len(known(sizes))
    size, n = next(iter(known(sizes).items()), ("", 0))
    if different == 1 and n == total:
        first = f"All {plural(total, 'image')} are {size} pixels."
    elif n > 0.1 * total:
        first = f"{percent(n / total)} of the images are {size} pixels."
    else:
        first = f"Sizes differ: the most common, {size}, covers {percent(n / total)}."
    second = (
        f"Widths run from {number(width['min'])} to {number(width['max'])} (median "
        f"{number(width['p50'])}), heights from {number(height['min'])} to "
        f"{number(height['max'])} (median {number(height['p50'])})."
    )
    return Answer(
        f"{first} {second}",
        {
            "width": width,
            "height": height,
            "megapixels": view.statistics("megapixels"),
            "most_common": [{"size": s, "n": k} for s, k in list(known(sizes).items())[:10]],
        },
        (grid("width", "height"), histogram("width"), histogram("height"), bars("size")),
    )


def aspect_ratios(view: View) -> Answer:
    """2: the shapes of the images."""
    ratio, aspects = view.statistics("aspect_ratio"), view.counts("aspect")
    orientation = view.counts("orientation")
    if not (ratio and aspects and orientation):
        return unknown("geometry")
    total = sum(known(aspects).values())
    standard = {k: n for k, n in known(aspects).items() if k != "other"}
    first = (
        f"The most common shape is {listed(standard, total, 1)}"
        if standard
        else "No image has a standard aspect ratio"
    )
    second = listed(known(orientation), total)
    return Answer(
        f"{first}; by orientation: {second}. Width to height runs from {number(ratio['min'])} "
        f"to {number(ratio['max'])}, median {number(ratio['p50'])}.",
        {"aspect_ratio": ratio, "aspect": aspects, "orientation": orientation},
        (histogram("aspect_ratio"), bars("aspect"), bars("orientation")),
    )


def colors(view: View) -> Answer:
    """3: the colours, and the channel mean and std for normalisation."""
    channels = [view.statistics(f"pixels_{c}") for c in "rgb"]
    if not all(channels):
        return unknown("color", "geometry")
    mean = [c["mean"] for c in channels if c]
    std = [c["std"] for c in channels if c]
    unit_mean, unit_std = [m / 255 for m in mean], [s / 255 for s in std]
    gray, dominant = view.counts("is_gray"), view.counts("dominant_color")
    parts = [
        "For normalisation, over all pixels: mean "
        f"({', '.join(f'{m:.3f}' for m in unit_mean)}), std "
        f"({', '.join(f'{s:.3f}' for s in unit_std)}) of R, G, B in 0..1."
    ]
    if known(gray):
        share = gray.get("true", 0) / sum(known(gray).values())
        parts.append(f"{percent(share)} of the images have no colour.")
    if known(dominant):
        shades = listed(known(dominant), sum(dominant.values()))
        parts.append(f"The shades that most often dominate: {shades}.")
    return Answer(
        " ".join(parts),
        {
            "mean_255": mean,
            "std_255": std,
            "mean": unit_mean,
            "std": unit_std,
            "n_pixels": int(channels[0]["count"]) if channels[0] else 0,
            "is_gray": gray,
            "dominant_colors": list(known(dominant).items())[:10],
            "colorfulness": view.statistics("colorfulness"),
        },
        (
            *(histogram(f"hist_{c}") for c in "rgb"),
            bars("dominant_color"),
            histogram("colorfulness"),
        ),
    )


def brightness(view: View) -> Answer:
    """4: brightness and contrast."""
    light, contrast = view.statistics("brightness_mean"), view.statistics("rms_contrast")
    if not (light and contrast):
        return unknown("exposure")
    dark = view.share_between("brightness_mean", 0.0, DARK) or 0.0
    bright = view.share_between("brightness_mean", BRIGHT, 1.0) or 0.0
    flat = view.share_between("rms_contrast", 0.0, LOW_CONTRAST) or 0.0
    return Answer(
        f"Half of the images have a mean brightness between {number(light['p25'])} and "
        f"{number(light['p75'])} (0 black, 1 white); {percent(dark)} are darker than {DARK}, "
        f"{percent(bright)} brighter than {BRIGHT}. The median contrast is "
        f"{number(contrast['p50'])}; {percent(flat)} of the images are flatter than "
        f"{LOW_CONTRAST}.",
        {
            "brightness_mean": light,
            "rms_contrast": contrast,
            "dark_share": dark,
            "bright_share": bright,
            "low_contrast_share": flat,
            "clipped_black": view.statistics("clipped_black"),
            "clipped_white": view.statistics("clipped_white"),
        },
        (
            histogram("brightness_mean"),
            histogram("rms_contrast"),
            grid("brightness_mean", "rms_contrast"),
        ),
    )


def edges(view: View) -> Answer:
    """5: sharp against smooth."""
    density, energy = view.statistics("edge_density"), view.statistics("laplacian_variance")
    if not (density and energy):
        return unknown("sharpness")
    smooth = view.share_between("edge_density", 0.0, SMOOTH) or 0.0
    busy = view.share_between("edge_density", BUSY, 1.0) or 0.0
    return Answer(
        f"In the median image {percent(density['p50'])} of the pixels lie on an edge; "
        f"{percent(smooth)} of the images are smooth (under {percent(SMOOTH)} edges), "
        f"{percent(busy)} are busy (over {percent(BUSY)}). Sharpness, as the variance of the "
        f"Laplacian, has the median {number(energy['p50'])}; the least sharp twentieth lies below "
        f"{number(energy['p5'])}.",
        {
            "edge_density": density,
            "laplacian_variance": energy,
            "tenengrad": view.statistics("tenengrad"),
            "smooth_share": smooth,
            "busy_share": busy,
        },
        (
            histogram("edge_density"),
            histogram("laplacian_variance"),
            grid("edge_density", "tenengrad"),
        ),
    )
