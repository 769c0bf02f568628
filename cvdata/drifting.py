"""`cvdata drift A B`: whether B still looks like A, as a gate for nightly runs."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from cvdata.config import Frozen
from cvdata.drift import Limits, worst_first
from cvdata.engine.session import EngineConfig, Session
from cvdata.errors import DriftAlarm
from cvdata.runs.drift import Drift, DriftOptions, compare
from cvdata.runs.drift_page import page_of
from cvdata.runs.drift_sides import Side


class DriftLimits(Frozen):
    """From where on a difference alarms, if chance does not explain it (docs/drift.md)."""

    psi: float = Field(0.2, ge=0)
    """Population stability index of a measure."""
    ks: float = Field(0.15, ge=0, le=1)
    """Kolmogorov-Smirnov distance of a measure."""
    mix: float = Field(0.2, ge=0)
    """PSI of the labels, and of the boxes' classes."""
    errors: float = Field(0.01, ge=0, le=1)
    """Change of the share of bad images, of each code and of all."""
    frechet: float = Field(0.05, ge=0)
    """Fréchet distance of the embeddings beyond chance, as a share of the reference's variance."""
    mmd: float = Field(0.01, ge=0)
    """Squared maximum mean discrepancy of the embeddings."""
    agreement: float = Field(0.05, ge=0, le=1)
    """Loss of agreement between labels and the reference's neighbours."""
    alpha: float = Field(0.01, gt=0, lt=1)
    """Chance of a false alarm over all checks of one kind."""


class DriftTool(Frozen):
    """Compare B with A: workspaces W, commits W@7, what came since W@7+, splits W:train, W@7:train.

    Exit 0: no drift; 8: drift.
    """

    a: CliPositionalArg[str]
    """The reference."""
    b: CliPositionalArg[str]
    """What is held against it."""
    embeddings: str | None = None
    """Compare embeddings/MODEL; default: `default` or what both have; empty: none."""
    json_file: str | None = None
    """Write everything as JSON here; `-` prints it instead of the table."""
    html: str | None = None
    """Write a page here, with pictures of the images that drive the difference."""
    limits: DriftLimits = DriftLimits()
    """From where on it alarms."""
    rows: int = Field(50_000, ge=100)
    """Images of each side whose measures are compared; counts are of all."""
    vectors: int = Field(5_000, ge=100)
    """Images of each side whose embeddings are compared."""
    drivers: int = Field(24, ge=0)
    """Images named that are least like the reference."""
    seed: int = 0
    """Of the samples and permutations."""
    engine: str = Field("serial", pattern="^(serial|ray|auto)$")
    """serial: a plain loop; ray or auto: see the jobs."""
    address: str = ""
    """Address of a running Ray cluster."""

    def run(self) -> None:
        """Print the comparison; `DriftAlarm` where a check alarms."""
        reference, current = Side.open(self.a), Side.open(self.b)
        options = DriftOptions(
            self.embeddings,
            self.rows,
            self.vectors,
            self.drivers,
            self.seed,
            Limits(**self.limits.model_dump()),
        )
        config = EngineConfig(self.engine, self.address)  # type: ignore[arg-type]
        with Session(config) as session:
            found = compare(session, reference, current, options)
        if self.html:
            Path(self.html).write_text(page_of(found, current), encoding="utf-8")
        if self.json_file == "-":
            print(found.to_json())
        else:
            _print(found)
        if self.json_file and self.json_file != "-":
            Path(self.json_file).write_text(found.to_json(), encoding="utf-8")
        if found.alarms:
            raise DriftAlarm(
                f"{self.b} has drifted from {self.a}: {len(found.alarms)} checks alarm"
            )


SHOWN = 15
"""Checks printed: every alarm, up to as many again."""


def _print(found: Drift) -> None:
    """Alarms, then what is nearest to one, then the images that drive it."""
    console = Console(soft_wrap=True)
    table = Table(
        "", "what", "statistic", "value", "limit", "p", "reference", "current",
        box=None, header_style="bold",
    )  # fmt: skip
    table.columns[1].no_wrap = True
    checks = worst_first(found.checks)
    shown = max(SHOWN, min(len(found.alarms) + 5, 40))
    for c in checks[:shown]:
        what = c.name if c.kind == "measure" else f"{c.kind}: {c.name}"
        sides = (f"{v:.4g}" if v is not None else "" for v in (c.reference, c.current))
        numbers = (f"{c.value:.3g}", f"{c.limit:.3g}", f"{c.p_value:.2g}")
        table.add_row("ALARM" if c.is_alarm else "", what, c.statistic, *numbers, *sides)
    console.print(table)
    if len(checks) > shown:
        console.print(f"{len(checks) - shown} more checks are farther from their limits")
    for d in found.drivers[:5] if found.alarms else ():
        console.print(f"  driven by {d.key} ({d.reason} {d.score:.3g})")
    for note in found.notes:
        console.print(f"  {note}")
    verdict = f"{len(found.alarms)} of {len(checks)} checks alarm"
    console.print(f"drift: {verdict}; {found.n_current:,} images against {found.n_reference:,}")
