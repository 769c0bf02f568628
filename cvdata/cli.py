"""`cvdata <job> …` and the result tools."""

import importlib
import os
import select
import sys
from collections.abc import Sequence

from cvdata.command import USAGE
from cvdata.command import main as run_job
from cvdata.config import nearest, parse
from cvdata.errors import CvdataError
from cvdata.logs import fail

JOBS = {
    "curate": "the whole chain on one source: only what is new is computed",
    "ingest": "list a source: any format -> records",
    "scan": "fetch and decode each image once: facts, checksums, hashes",
    "infer": "a model over each image -> embeddings or predictions",
    "eda": "measures -> issues and summary, in seconds",
    "dedup": "measures -> exact, perceptual and semantic copies, groups, leaks",
    "explore": "embeddings -> clusters to look at; what SemDeDup would drop",
    "calibrate": "planted copies of your own images -> the cosine that tells a copy",
    "decide": "tables -> selection: what stays, its weight, every reason; nothing is deleted",
    "index": "embeddings -> a FAISS index with its measured recall, changed in place",
    "outliers": "measures, embeddings -> images unlike the others, each with its reason",
    "labels": "embeddings or predictions -> labels and boxes that are probably wrong",
    "map": "embeddings -> a 2-D map, what looks alike side by side",
    "split": "copies -> train, val and test that do not leak; what is assigned stays",
    "export": "selection -> ImageFolder, WebDataset, Parquet, COCO, YOLO, VOC, Hugging Face, …",
    "augment": "selection -> new images by a policy, boxes and labels following",
    "report": "tables -> one self-contained report.html",
}
TOOL_NAMES = {
    "submit": "run a job on a cluster; --status and --stop look after it",
    "sample": "make a sample dataset with planted findings",
    "models": "list the models: task, input, dimension, licence, and whether they are here",
    "search": "the images nearest to a file, to an image of the workspace, or to words",
    "drift": "compare two commits, splits or workspaces; exit 8 where they differ",
    "gate": "hold what is committed against your limits; exit 8 where one is passed",
    "status": "what a workspace holds, who is at work on it and how far; --watch",
    "verify": "check a workspace against its commit log",
    "files": "list the live Parquet files",
    "gc": "delete what no kept commit names",
    "compact": "merge small parts into large ones",
}
COMMANDS = {**JOBS, **TOOL_NAMES}
UNREAD = 141
"""128 + SIGPIPE: what shells call a command whose reader has gone."""


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    jobs = "\n".join(f"  {name:<{width}}  {what}" for name, what in JOBS.items())
    tools = "\n".join(f"  {name:<{width}}  {what}" for name, what in TOOL_NAMES.items())
    return (
        "usage: cvdata COMMAND [options]      (cvdata COMMAND --help tells more)\n\n"
        f"jobs\n{jobs}\n\ntools\n{tools}\n\n"
        "start with:  cvdata curate FOLDER --workspace RESULTS\n"
        "exit codes:  0 done · 2 usage · 3 done, many bad images · 4 stopped, resumable · "
        "5 commit conflict · 6 too many bad images · 7 verify failed · 8 drift or another gate · "
        "9 another run is at work"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 141 where nobody reads its output any more."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _command(args)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_unread():
            raise  # another pipe than the one to our reader
        return UNREAD


def _is_unread() -> bool:
    """Whether standard output leads nowhere, as in `cvdata … | head`; then it is let go."""
    output = sys.stdout.fileno()
    poll = select.poll()
    poll.register(output, 0)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    # else the interpreter flushes once more as it ends, and complains
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


def _command(args: Sequence[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if args else USAGE
    if args[0] == "--version":
        from importlib.metadata import version

        print(f"cvdata {version('cvdata')}")
        return 0
    name, rest = args[0], args[1:]
    if name in JOBS:
        job = importlib.import_module(f"jobs.{name}")
        return run_job(job.Config, job.run, rest, f"cvdata {name}")
    if name in TOOL_NAMES:
        return _run_tool(name, rest)
    fail(
        f"unknown command {name!r}{nearest(name, list(COMMANDS))}; `cvdata --help` lists them",
        USAGE,
    )
    return USAGE


def _run_tool(name: str, args: Sequence[str]) -> int:
    from cvdata.tools import TOOLS

    try:
        if name == "submit":
            from cvdata.submit import run

            return run(args, JOBS)
        parse(TOOLS[name], args, f"cvdata {name}").run()
    except CvdataError as error:
        fail(str(error), error.exit_code)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
