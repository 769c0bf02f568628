"""Fold the wide table into everything that is said about a dataset."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.eda.answers import answer_all
from cvdata.eda.colors import Colors, GroupColors
from cvdata.eda.counting import Cooccurrence, Joints, JointState, Tallies, TallyState
from cvdata.eda.facts import Facts, category, is_readable
from cvdata.eda.fields import (
    BOX_FIELDS,
    BOX_PAIRS,
    CATEGORIES,
    IMAGE_FIELDS,
    IMAGE_PAIRS,
    WIDE_CATEGORIES,
)
from cvdata.eda.groups import Codes, Groups, Scope, plan_groups
from cvdata.eda.numbers import GroupNumbers, Numbers
from cvdata.eda.profile import Profile
from cvdata.eda.tables import SummaryTables
from cvdata.kernels.moments import Moments


@dataclass
class SummaryState:
    """The states of the parts; pickles."""

    images: list[GroupNumbers]
    boxes: list[GroupNumbers]
    narrow: TallyState
    wide: TallyState
    errors: TallyState
    objects: TallyState
    image_pairs: JointState
    box_pairs: JointState
    together: Codes
    colors: list[GroupColors]
    profile: Moments | None


@dataclass(frozen=True)
class Summarize:
    """Accumulator of the wide table: `measures` joined with label, split, source and boxes.

    Any column may be missing: what needs it is left out, and its answer says which measure gives
    it. Rows with an error count as such and in nothing else. Memory does not grow with the
    images: it is bounded by the groups, of which `groups` names at most a few hundred. `update`
    and `merge` change and return their first argument. Counts, histograms and joints are
    bit-identical for any order of updates and merges, moments agree to rounding, quantiles within
    the rank error of their sketch (`cvdata.eda.numbers`).
    """

    groups: Groups
    batch_rows: int = 1 << 16
    """Rows taken at a time, so that columns fit the processor's cache; changes no result."""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """all, split, label, source: those that the dataset has."""
        return self.groups.scopes()

    @property
    def few(self) -> tuple[Scope, ...]:
        """Scopes all and split."""
        return tuple(s for s in self.scopes if s.name in ("all", "split"))

    @property
    def unlabeled(self) -> tuple[Scope, ...]:
        """The scopes of boxes: all, split, source; a box's own label is the field `object`."""
        return tuple(s for s in self.scopes if s.name != "label")

    def zero(self) -> SummaryState:
        """Nothing seen."""
        labels = self._labels()
        return SummaryState(
            images=Numbers(IMAGE_FIELDS, self.scopes).zero(),
            boxes=Numbers(BOX_FIELDS, self.unlabeled).zero(),
            narrow={},
            wide={},
            errors={},
            objects={},
            image_pairs=Joints(IMAGE_PAIRS, self.few).zero(),
            box_pairs=Joints(BOX_PAIRS, self.few).zero(),
            together=Cooccurrence(self.groups.objects).zero(),
            colors=Colors(self.scopes).zero(),
            profile=Profile(labels.groups).zero() if labels else None,
        )

    def _labels(self) -> Scope | None:
        return next((s for s in self.scopes if s.name == "label"), None)

    def update(self, acc: SummaryState, table: pa.Table) -> SummaryState:
        """Add rows of the wide table."""
        for start in range(0, table.num_rows, self.batch_rows):
            part = table.slice(start, self.batch_rows)
            self._count_errors(acc, part)
            readable = part.filter(is_readable(part)).combine_chunks()
            facts = Facts(readable)
            codes = {scope.name: scope.codes(readable) for scope in self.scopes}
            self._add_images(acc, facts, codes)
            self._add_boxes(acc, facts, codes)
        return acc

    def _count_errors(self, acc: SummaryState, part: pa.Table) -> None:
        code = pa.chunked_array([pa.array(["ok"] * part.num_rows, pa.string())])
        if "error" in part.column_names:
            code = pc.if_else(is_readable(part), "ok", part.column("error"))
        codes = [scope.codes(part) for scope in self.scopes]
        Tallies(self.scopes).update(acc.errors, {"error": code}, codes)

    def _add_images(self, acc: SummaryState, facts: Facts, by_scope: dict[str, Codes]) -> None:
        codes = list(by_scope.values())
        few = [by_scope[s.name] for s in self.few]
        numbers = {f.name: facts.number(f.name) for f in IMAGE_FIELDS}
        Numbers(IMAGE_FIELDS, self.scopes).update(acc.images, list(numbers.values()), codes)
        narrow = {name: category(facts, name) for name in CATEGORIES}
        Tallies(self.scopes).update(acc.narrow, narrow, codes)
        wide = {name: category(facts, name) for name in WIDE_CATEGORIES}
        Tallies(self.few).update(acc.wide, wide, few)
        pairs = [(numbers[p.x.name], numbers[p.y.name]) for p in IMAGE_PAIRS]
        Joints(IMAGE_PAIRS, self.few).update(acc.image_pairs, pairs, few)
        Colors(self.scopes).update(acc.colors, facts, codes)
        labels = self._labels()
        if labels and acc.profile is not None:
            Profile(labels.groups).update(acc.profile, facts, by_scope["label"])

    def _add_boxes(self, acc: SummaryState, facts: Facts, by_scope: dict[str, Codes]) -> None:
        boxes = facts.boxes
        if boxes is None or not len(boxes.row):
            return
        codes = [by_scope[s.name][boxes.row] for s in self.unlabeled]
        few = [by_scope[s.name][boxes.row] for s in self.few]
        values = [boxes.numbers[f.name] for f in BOX_FIELDS]
        Numbers(BOX_FIELDS, self.unlabeled).update(acc.boxes, values, codes)
        pairs = [(boxes.numbers[p.x.name], boxes.numbers[p.y.name]) for p in BOX_PAIRS]
        Joints(BOX_PAIRS, self.few).update(acc.box_pairs, pairs, few)
        Tallies(self.few).update(acc.objects, {"object": boxes.label}, few)
        Cooccurrence(self.groups.objects).update(acc.together, boxes.row, boxes.label)

    def merge(self, a: SummaryState, b: SummaryState) -> SummaryState:
        """Both together, in `a`."""
        tallies = Tallies(self.scopes)
        for mine, theirs in (
            (a.narrow, b.narrow),
            (a.wide, b.wide),
            (a.errors, b.errors),
            (a.objects, b.objects),
        ):
            tallies.merge(mine, theirs)
        Numbers(IMAGE_FIELDS, self.scopes).merge(a.images, b.images)
        Numbers(BOX_FIELDS, self.unlabeled).merge(a.boxes, b.boxes)
        Joints(IMAGE_PAIRS, self.few).merge(a.image_pairs, b.image_pairs)
        Joints(BOX_PAIRS, self.few).merge(a.box_pairs, b.box_pairs)
        Cooccurrence(self.groups.objects).merge(a.together, b.together)
        Colors(self.scopes).merge(a.colors, b.colors)
        if a.profile is not None and b.profile is not None:
            a.profile.merge(b.profile)
        return a

    def finalize(self, acc: SummaryState) -> SummaryTables:
        """The tables, and the ten answers read from them."""
        images, boxes = Numbers(IMAGE_FIELDS, self.scopes), Numbers(BOX_FIELDS, self.unlabeled)
        colors, labels = Colors(self.scopes), self._labels()
        tallies, few = Tallies(self.scopes), Tallies(self.few)
        counts = [tallies.counts(acc.errors), tallies.counts(acc.narrow)]
        counts += [few.counts(acc.wide), few.counts(acc.objects)]
        summary = [images.summary(acc.images), boxes.summary(acc.boxes), colors.summary(acc.colors)]
        histograms = [images.histograms(acc.images), boxes.histograms(acc.boxes)]
        histograms.append(colors.histograms(acc.colors))
        profile = Profile(labels.groups if labels else ())
        joints = [
            Joints(IMAGE_PAIRS, self.few).joint(acc.image_pairs),
            Joints(BOX_PAIRS, self.few).joint(acc.box_pairs),
        ]
        tables = SummaryTables(
            summary=pa.concat_tables(summary).combine_chunks(),
            counts=pa.concat_tables(counts).combine_chunks(),
            histograms=pa.concat_tables(histograms).combine_chunks(),
            joint=pa.concat_tables(joints).combine_chunks(),
            cooccurrence=Cooccurrence(self.groups.objects).table(acc.together),
            class_profile=profile.table(acc.profile if acc.profile is not None else profile.zero()),
        )
        return tables.with_answers(answer_all(tables))


def summarize(table: pa.Table) -> SummaryTables:
    """Plan the groups of one wide table and summarise it."""
    fold = Summarize(plan_groups([table]))
    return fold.finalize(fold.update(fold.zero(), table))
