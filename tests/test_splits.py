"""The splitter keeps groups whole, classes in proportion, and its word."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata import schema
from cvdata.errors import ConfigError
from cvdata.splits import assign_splits

THIRDS = {"train": 0.7, "val": 0.1, "test": 0.2}


def images_of(labels: list[str | None], start: int = 0) -> pa.Table:
    ids = [schema.image_id("s", str(start + i).encode()) for i in range(len(labels))]
    return pa.table(
        {
            "image_id": pa.array(ids, schema.ID),
            "revision": pa.array(["1"] * len(ids)),
            "label": pa.array(labels, pa.string()),
        }
    )


def by_id(splits: pa.Table) -> dict[bytes, str]:
    columns = (splits.column(name).to_pylist() for name in ("image_id", "split"))
    return dict(zip(*columns, strict=True))


CASE = st.lists(
    st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 30)), min_size=1, max_size=80
)


@settings(max_examples=100, deadline=None)
@given(CASE, CASE, st.randoms(use_true_random=False))
def test_laws(old, new, random) -> None:  # type: ignore[no-untyped-def]
    """Groups are whole; row order says nothing; what was assigned stays when images are added."""
    labels = [label for label, _ in old + new]
    component = np.array([group for _, group in old + new])
    images = images_of(labels)
    n_old = len(old)
    first = assign_splits(images.slice(0, n_old), component[:n_old], THIRDS)
    assert first.schema == schema.SPLITS
    ids = images["image_id"].to_pylist()
    given_first = by_id(first)
    for group in set(component[:n_old].tolist()):
        members = np.flatnonzero(component[:n_old] == group)
        assert len({given_first[ids[i]] for i in members}) == 1

    rows = list(range(n_old))
    random.shuffle(rows)
    mixed = assign_splits(images.take(pa.array(rows)), component[rows], THIRDS)
    assert mixed.equals(first)

    second = by_id(assign_splits(images, component, THIRDS, first))
    assert all(second[image_id] == split for image_id, split in given_first.items())
    for group in set(component.tolist()):
        members = np.flatnonzero(component == group)
        assert len({second[ids[i]] for i in members}) == 1


def test_classes_keep_their_proportions() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "rare"], 6000, p=[0.6, 0.39, 0.01]).tolist()
    component = np.where(rng.random(6000) < 0.2, rng.integers(0, 400, 6000), 1000 + np.arange(6000))
    splits = by_id(assign_splits(images_of(labels), component, THIRDS))
    ids = images_of(labels)["image_id"].to_pylist()
    for name in ("a", "b", "rare"):
        members = [splits[ids[i]] for i in range(6000) if labels[i] == name]
        for split, fraction in THIRDS.items():
            share = members.count(split) / len(members)
            assert abs(share - fraction) < max(0.01, 1.5 / len(members)), (name, split, share)


def test_many_tiny_classes_do_not_all_go_to_the_largest_split() -> None:
    """Rounding alone would send every class of two to train."""
    labels = [f"c{i // 2}" for i in range(1000)]
    splits = list(by_id(assign_splits(images_of(labels), np.arange(1000), THIRDS)).values())
    for split, fraction in THIRDS.items():
        assert abs(splits.count(split) / 1000 - fraction) < 0.03


def test_an_old_leak_is_not_moved_and_newcomers_follow_the_larger_part() -> None:
    images = images_of(["a"] * 4)
    assigned = (
        images.slice(0, 3)
        .drop_columns(["label"])
        .append_column("split", pa.array(["test", "train", "test"]))
    )
    splits = by_id(assign_splits(images, np.zeros(4, int), THIRDS, assigned.cast(schema.SPLITS)))
    assert list(splits.values()).count("test") == 3
    assert splits[images["image_id"][3].as_py()] == "test"


def test_the_seed_changes_the_draw_and_nothing_else() -> None:
    images = images_of(["a", "b"] * 200)
    one, two = (assign_splits(images, np.arange(400), THIRDS, seed=s) for s in (1, 2))
    assert not one.equals(two)
    assert one["split"].value_counts().to_pylist() != []
    counts = [sorted(t["split"].to_pylist()) for t in (one, two)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("fractions", [{}, {"train": 0.0}, {"train": -1.0, "test": 2.0}])
def test_senseless_fractions(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="fractions"):
        assign_splits(images_of(["a"]), np.zeros(1, int), fractions)


def test_a_split_that_vanished_from_the_config_is_named() -> None:
    images = images_of(["a"])
    assigned = assign_splits(images, np.zeros(1, int), {"holdout": 1.0})
    with pytest.raises(ConfigError, match="holdout"):
        assign_splits(images, np.zeros(1, int), THIRDS, assigned)
