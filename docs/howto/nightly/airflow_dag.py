"""Airflow 3: every night curate and infer what is new, then let old commits go.

Workers need cvdata installed and credentials of the buckets in their environment.
"""

import json
import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import dag, task

RESULTS = "s3://FILL-IN/results"
CURATE = ["curate", "s3://FILL-IN/photos", "--config", "/etc/cvdata/nightly.yaml"]
INFER = ["infer", "--config", "/etc/cvdata/infer.yaml"]
GC = ["gc", "--workspace", RESULTS, "--keep", "30", "--keep-days", "30", "--summary", "json"]
FINE = (0, 3)  # 3: committed, with a warning
WORTH_ANOTHER_TRY = (4, 5, 9)  # stopped and resumable, commit conflict, another run at work


@task(retries=3, retry_delay=timedelta(minutes=10), execution_timeout=timedelta(hours=8))
def cvdata(arguments: list[str]) -> dict:
    """Run a command; its JSON summary is the task's result."""
    done = subprocess.run(["cvdata", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    if done.returncode in FINE:
        return json.loads(done.stdout.splitlines()[-1])
    message = f"cvdata {arguments[0]} ended with {done.returncode}"
    if done.returncode in WORTH_ANOTHER_TRY:
        raise AirflowException(message)
    raise AirflowFailException(message)  # no retry makes it better


@dag(
    schedule="30 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["cvdata"],
)
def cvdata_nightly() -> None:
    """One step after the other."""
    curated = cvdata.override(task_id="curate")(CURATE)
    inferred = cvdata.override(task_id="infer")(INFER)
    collected = cvdata.override(task_id="gc")(GC)
    curated >> inferred >> collected


cvdata_nightly()
