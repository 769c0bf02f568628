"""Findings become reasons: each once, those that drop first, whatever the order."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.decide.findings import FINDINGS, joined, kind_of, merge_findings

IDS = [bytes([i]) * 16 for i in range(6)]
REASONS = ("issue:dark", "issue:blurry", "user", "leak:test", "duplicate:any:00", "label_issue")

Line = tuple[bytes, str, bool, float | None]
lines = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.sampled_from(REASONS),
        st.booleans(),
        st.none() | st.floats(0, 1, width=32),
    ),
    max_size=30,
)


def table(rows: list[Line]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    arrays = [pa.array(c, f.type) for c, f in zip(columns, FINDINGS, strict=True)]
    return pa.table(arrays, schema=FINDINGS)


@settings(deadline=None)
@given(lines, st.randoms(use_true_random=False))
def test_the_same_as_a_plain_loop_in_any_order(rows: list[Line], random: object) -> None:
    merged = merge_findings(pa.array(IDS, pa.binary(16)), table(rows))
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = merge_findings(pa.array(IDS, pa.binary(16)), table(shuffled))
    assert merged.reasons.equals(again.reasons)
    for i, image_id in enumerate(IDS):
        mine = [line for line in rows if line[0] == image_id]
        drops = {reason for _, reason, is_drop, _ in mine if is_drop}
        warns = {reason for _, reason, _, _ in mine} - drops
        assert merged.reasons[i].as_py() == [*sorted(drops), *sorted(warns)]
        assert merged.n_drops[i] == again.n_drops[i] == len(drops)
        worst = max((s or 0.0 for _, r, _, s in mine if r in drops), default=0.0)
        assert merged.severity[i] == again.severity[i] == worst


@settings(deadline=None)
@given(lines)
def test_a_kind_is_asked_of_dropping_reasons_only(rows: list[Line]) -> None:
    merged = merge_findings(pa.array(IDS, pa.binary(16)), table(rows))
    for kinds in (("issue",), ("user", "leak"), ("duplicate",), ("label",)):
        found = merged.drops_by(kinds)
        for i, image_id in enumerate(IDS):
            told = {kind_of(r) for j, r, is_drop, _ in rows if j == image_id and is_drop}
            assert found[i] == bool(told & set(kinds))


def test_findings_of_other_images_are_left_out() -> None:
    rows = table([(IDS[0], "user", True, None), (IDS[3], "user", True, None)])
    merged = merge_findings(pa.array([IDS[3]], pa.binary(16)), rows)
    assert merged.reasons.to_pylist() == [["user"]]
    assert joined([]).schema.equals(FINDINGS)
