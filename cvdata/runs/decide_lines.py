"""A decision in lines for a person."""

from collections.abc import Mapping, Sequence
from typing import Any


def lines(figures: Mapping[str, Any], balanced: Mapping[str, Any]) -> list[str]:
    """The figures for a person."""
    text = [
        f"decide: {figures['n_kept']:,} of {figures['n_images']:,} images are kept, "
        f"{figures['n_dropped']:,} drop"
    ]
    ranked = sorted(figures["reasons"].items(), key=lambda kv: (-kv[1]["dropped"], kv[0]))
    for name, n in ranked:
        told = [f"{n['dropped']:,} drop, {n['alone']:,} of them for it alone"] * bool(n["dropped"])
        told += [f"{n['warned']:,} warned"] * bool(n["warned"])
        text.append(f"  {name:<26} {'; '.join(told)}")
    if figures["n_led_anew"]:
        text.append(f"  {figures['n_led_anew']:,} groups of copies: another keeper, theirs drops")
    for label, n in figures["floors"].items():
        text.append(f"  floor: {n:,} of {label} stay that would drop")
    if figures["n_unscanned"]:
        text.append(f"  {figures['n_unscanned']:,} images are not scanned: nothing is known")
    return text + balance_lines(balanced)


def balance_lines(balanced: Mapping[str, Any], limit: int = 40) -> list[str]:
    """The plan, class by class, the furthest from balance first; and what SMOTE made."""
    classes: Sequence[Mapping[str, Any]] = balanced["classes"]
    settings = balanced["settings"]
    made = (
        [f"smote: {balanced.get('n_synthetic', 0):,} vectors in synthetic/{settings['embeddings']}"]
        if settings["smote"]
        else []
    )
    if not classes:
        return made
    where = ", ".join(balanced["splits"]) if balanced["splits"] is not None else "all images"
    total = sum(c["achieved"] for c in classes)
    text = [
        f"balance ({where}): {balanced['n_cut']:,} drop, {balanced['n_copies']:,} copies to make, "
        f"{total:,} images in the end"
    ]
    ranked = sorted(classes, key=lambda c: (-abs(c["achieved"] - c["n"]), c["label"]))
    for c in ranked[:limit]:
        note = "" if c["is_met"] else f"  short of {c['target']:,.0f}"
        if c["achieved"] > c["target"] and not c["is_met"]:
            note = f"  above {c['target']:,.0f}"
        text.append(
            f"  {c['label']:<20} {c['n']:>9,} - {c['n_cut']:,} + {c['n_extra']:,} = "
            f"{c['achieved']:>9,}{note}"
        )
    if len(ranked) > limit:
        text.append(f"  … and {len(ranked) - limit:,} classes more (balance.json)")
    return text + made
