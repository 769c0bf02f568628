"""`cvdata submit`: a job on a cluster, from any machine that can reach it."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from cvdata.config import Frozen, parse
from cvdata.engine.submission import DEFAULT_ADDRESS, JobsClient, JobState, Order, exit_code
from cvdata.errors import ConfigError


class Submit(Frozen):
    """Run a job on a cluster: cvdata submit [OPTIONS] JOB [the job's own options].

    Sends the code and the job's --config file, follows the log, and ends with the job's exit code.
    The same command again joins the job while it runs, and goes on with it where it was stopped.
    """

    address: str = DEFAULT_ADDRESS
    """URL of the cluster's dashboard; `ray dashboard cluster.yaml` opens a tunnel to it."""
    detach: bool = False
    """Do not wait: print the submission id."""
    env: dict[str, str] = Field({})
    """Environment of the job, e.g. --env AWS_ENDPOINT_URL=http://minio:9000."""
    status: str = ""
    """Print where the job of this submission id is; `all` lists them."""
    stop: str = ""
    """Stop the job of this submission id."""

    def run(self, order: Sequence[str], jobs: Mapping[str, str]) -> int:
        """Do what is asked; the exit code."""
        if self.status or self.stop:
            if order:
                raise ConfigError("--status and --stop take a submission id, and no job")
            return self._look_after(JobsClient(self.address))
        if not order:
            raise ConfigError(f"which job? {', '.join(jobs)}")
        if order[0] not in jobs:
            raise ConfigError(f"unknown job {order[0]!r}; there are {', '.join(jobs)}")
        sent = Order(order[0], tuple(order[1:]), self.env)
        return self._submit(JobsClient(self.address), sent)

    def _look_after(self, client: JobsClient) -> int:
        found = client.jobs() if self.status == "all" else []
        if self.stop:
            found = [client.stop(self.stop)]
        elif self.status != "all":
            found = [client.state(self.status)]
        for state in found:
            print(_line(state))
        return 0

    def _submit(self, client: JobsClient, order: Order) -> int:
        state = client.submit(order)
        if self.detach:
            print(state.submission_id)
            return 0
        print(f"submitted {state.submission_id}, see {client.page(state)}", flush=True)
        for piece in client.follow(state.submission_id):
            print(piece, end="", flush=True)
        return exit_code(client.wait(state.submission_id))


def _line(state: JobState) -> str:
    """One line; of a job that ended by itself Ray's message is the end of its log."""
    told = "".join(state.message.splitlines()[:1])
    if state.exit_code is not None:
        told = f"exit code {state.exit_code}"
    return f"{state.submission_id}  {state.status.lower()}  {told}".rstrip()


def run(args: Sequence[str], jobs: Mapping[str, str]) -> int:
    """Split the options of `submit` from the job and its own; run."""
    at = _first_word(args)
    return parse(Submit, list(args[:at]), "cvdata submit").run(args[at:], jobs)


def _first_word(args: Sequence[str]) -> int:
    """Where the job stands: the first word that is no option of `submit` and no value of one."""
    at = 0
    while at < len(args) and args[at].startswith("-"):
        is_alone = "=" in args[at] or args[at] in ("-h", "--help", "--detach", "--no-detach")
        at += 1 if is_alone else 2
    return min(at, len(args))
