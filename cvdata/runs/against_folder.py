"""An evaluation set that is a folder: measured in a workspace of its own, beside ours."""

from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.image import Limits
from cvdata.models import ModelOptions, Task, resolve
from cvdata.runs.dedup_options import DedupOptions
from cvdata.runs.filling import FillOptions
from cvdata.runs.infer import ModelSettings, Request, placed, plan_inference
from cvdata.runs.ingest import cut
from cvdata.runs.scan import fill, plan_sets
from cvdata.schema import RECORDS
from cvdata.sources import open_source
from cvdata.stages.scan import MeasureSpec
from cvdata.storage import digest
from cvdata.workspace import Workspace

SUFFIX = ".against"
MEASURES = {"exact_sha256": "file", "exact_pixels": "pixel_digest", "dihedral": "phash"}


def measured(
    session: Session, workspace: Workspace, source: str, options: DedupOptions
) -> Workspace:
    """The workspace of `source` (folder or file), brought up to date with what `options` compare.

    It lies at `<workspace>.against/<digest of the source>`; unchanged images are not read again.
    """
    root = workspace.store.url.rstrip("/")
    other = Workspace(f"{root}{SUFFIX}/{digest(source.encode())[:16]}")
    try:
        listed = open_source(source, source_name="default")
    except ConfigError as error:
        raise ConfigError(f"--against {source} is no workspace, nor a source: {error}") from error
    with other.change("ingest", {"source": source}) as change:
        change.replace("records", cut(listed.records()), RECORDS, tag="default")
    if not other.refresh().head.tables["records"].rows:
        raise ConfigError(f"--against {source} is neither a workspace nor a source of images")
    names = {MEASURES[m] for m in options.methods if m in MEASURES}
    names |= {options.hash_column} if "perceptual" in options.methods else set()
    with other.change("scan", {"measures": sorted(names)}) as change:
        limits = Limits()
        sets = plan_sets([MeasureSpec(n) for n in sorted(names | {"file"})], {}, limits)
        model = None
        if options.table:
            settings = ModelSettings()
            model = placed(plan_inference(change, _request(workspace, options), limits), settings)
        fill(change, session, sets, FillOptions(max_error_rate=1.0), model)
    return other.refresh()


def _request(workspace: Workspace, options: DedupOptions) -> Request:
    """The model that filled our embeddings; `ConfigError` where its name alone does not make it."""
    meta = workspace.head.tables[options.table].meta
    request = Request(
        str(meta["model"]), ModelOptions(task=Task.EMBED), options.table.partition("/")[2]
    )
    if resolve(request.model, request.options).weights_digest != meta["weights"]:
        raise ConfigError(
            f"{options.table} was made with weights of your own: run `cvdata infer` with them on "
            "a workspace of the evaluation set, and name that workspace"
        )
    return request
