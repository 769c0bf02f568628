"""What every job that decodes images is told."""

from pydantic import Field

from cvdata.config import JobConfig
from cvdata.runs.filling import FillOptions
from cvdata.runs.limits import ImageLimits
from cvdata.stages.isolation_process import Confinement


class DecodingConfig(JobConfig):
    """Limits, error rates and the sandbox."""

    limits: ImageLimits = ImageLimits()
    """What is decoded at all."""
    max_error_rate: float = Field(0.05, ge=0, le=1)
    """Commit nothing (exit 6) when a larger share of this run's images fails."""
    warn_error_rate: float = Field(0.01, ge=0, le=1)
    """Exit with 3 when a larger share of all images is broken."""
    chunk_rows: int = Field(0, ge=0)
    """Images a chunk, which is one part; 0: 64 to 1,024 by the size of the dataset."""
    time_limit: float = Field(20.0, gt=0)
    """Seconds after which an image is given up."""
    memory_limit: int = Field(4 * 1024**3, ge=1024**3)
    """Bytes that a decoder may take."""
    isolate: bool = False
    """Decode in short-lived children with tighter limits: for hostile sources."""
    refresh: bool = False
    """Compute everything anew, e.g. after a library moved a value."""

    def fill_options(self) -> FillOptions:
        """How to compute."""
        return FillOptions(
            self.chunk_rows,
            Confinement(self.time_limit, self.memory_limit, self.isolate),
            self.max_error_rate,
            self.dry_run,
            self.prices,
            self.ignore_capacity,
        )
