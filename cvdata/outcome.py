"""How a run ended: what a scheduler, a script and a person on call are told of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cvdata.commits import Commit
from cvdata.recording import Recorder
from cvdata.runs.gates import Checked


@dataclass(frozen=True)
class Outcome:
    """The end of a run. `head` is the live commit then; `errors` counts all bad images by code."""

    job: str
    workspace: str
    exit_code: int
    started: str
    error: str = ""
    is_dry: bool = False
    before: int | None = None
    head: Commit = field(default_factory=Commit)
    errors: Mapping[str, int] = field(default_factory=dict)
    gates: Sequence[Checked] = ()

    @property
    def status(self) -> str:
        """failed, planned, committed, or unchanged where nothing was new."""
        if self.error:
            return "failed"
        if self.is_dry:
            return "planned"
        return "committed" if self.head.seq > (self.before or 0) else "unchanged"

    @property
    def rows(self) -> int:
        """Images of the workspace."""
        records = self.head.tables.get("records")
        return records.rows if records else 0

    def line(self, recorder: Recorder) -> str:
        """One line of JSON."""
        seconds = sum(stage.seconds for stage in recorder.stages.values())
        value: dict[str, Any] = {
            "job": self.job,
            "status": self.status,
            "exit_code": self.exit_code,
            "error": self.error,
            "workspace": self.workspace,
            "started": self.started,
            "seconds": round(recorder.seconds, 1),
            "commit": self.head.seq,
            "n_commits": max(0, self.head.seq - (self.before or 0)),
            "rows": self.rows,
            "new": recorder.n_images,
            "errors": dict(self.errors),
            "new_errors": recorder.errors,
            "images_per_second": round(recorder.n_images / seconds, 1) if seconds else 0.0,
            "bytes_read": sum(stage.bytes_read for stage in recorder.stages.values()),
            "gates": [asdict(gate) for gate in self.gates],
            "gates_failed": [gate.name for gate in self.gates if gate.is_failed],
        }
        return json.dumps(value, allow_nan=False)
