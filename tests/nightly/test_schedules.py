"""The schedules of docs/howto/nightly: valid for what reads them, and their commands for us."""

import ast
import configparser
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cronsim import CronSim

from cvdata import errors
from cvdata.cli import JOBS
from cvdata.config import parse
from cvdata.errors import ConfigError, CvdataError
from cvdata.tools import TOOLS
from tests.conftest import ROOT

HERE = ROOT / "docs/howto/nightly"
FINE, RETRIED, FINAL = {0, 3}, {4, 5, 9}, {1, 2, 6, 7, 8}


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def check_command(words: list[str]) -> None:
    """Parse as the real command line does; its config files are those of the folder."""
    assert Path(words[0]).name == "cvdata", words
    name, rest = words[1], [w.replace("/etc/cvdata", str(HERE)) for w in words[2:]]
    model: Any = importlib.import_module(f"jobs.{name}").Config if name in JOBS else TOOLS[name]
    parse(model, rest, f"cvdata {name}")


def _until_shell(words: list[str]) -> list[str]:
    """The words of one command of a shell line: up to a redirection or an operator."""
    ends = [i for i, w in enumerate(words) if w in ("||", "&&", ";", "|") or re.match(r"\d?>", w)]
    return words[: ends[0]] if ends else words


def _cron_lines() -> list[re.Match[str]]:
    pattern = r"^(?P<when>\S+ \S+ \S+ \S+ \S+)\s+(?P<user>[a-z_][a-z0-9_-]*)\s+(?P<command>\S.*)$"
    lines = [line for line in _text("crontab").splitlines() if line and not line.startswith("#")]
    rest = [line for line in lines if not re.match(r"^[A-Z]+=\S", line)]
    found = [re.match(pattern, line) for line in rest]
    assert all(found)
    return [match for match in found if match is not None]


def test_the_crontab_is_one() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    firsts = [next(CronSim(match["when"], now)) for match in _cron_lines()]
    assert [(t.hour, t.minute) for t in firsts] == [(1, 30), (4, 30), (6, 0)]
    assert firsts[2].isoweekday() == 7
    for match in _cron_lines():
        assert "%" not in match["command"], "cron makes a line break of it"
        words = shlex.split(match["command"])
        check_command(_until_shell(words))
        shell = ["bash", "-n", "-c", match["command"]]
        assert subprocess.run(shell, check=False).returncode == 0


def _unit(name: str) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in _text(name).splitlines():
        if match := re.match(r"^\[(\w+)\]$", line):
            section = match[1]
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(section, {}).setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", ["cvdata-nightly.service", "cvdata-nightly.timer"])
def test_the_units_are_ini_files(name: str) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(_text(name))
    kinds = {"cvdata-nightly.service": "Service", "cvdata-nightly.timer": "Timer"}
    assert parser.sections() == ["Unit", kinds[name], "Install"]


def test_the_service_runs_our_commands_and_knows_our_codes() -> None:
    service = _unit("cvdata-nightly.service")["Service"]
    commands = [shlex.split(line) for line in service["ExecStart"]]
    assert [words[1] for words in commands] == ["curate", "infer", "gc"]
    for words in commands:
        check_command(words)
    assert {0, *map(int, service["SuccessExitStatus"][0].split())} == FINE
    assert set(map(int, service["RestartPreventExitStatus"][0].split())) == FINAL
    assert service["Restart"] == ["on-failure"]
    assert _unit("cvdata-nightly.timer")["Timer"]["Unit"] == ["cvdata-nightly.service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("cvdata-nightly.service", "cvdata-nightly.timer"):
        text = _text(name).replace("/usr/local/bin/cvdata", sys.executable)
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / f"cvdata-nightly.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cvdata-nightly" not in done.stderr, "no key is unknown or ignored"
    when = _unit("cvdata-nightly.timer")["Timer"]["OnCalendar"][0]
    command = ["systemd-analyze", "calendar", when]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "01:30:00" in done.stdout


def test_kubernetes_accepts_the_cronjob_and_it_is_closed() -> None:
    job, policy = yaml.safe_load_all(_text("cronjob.yaml"))
    for document in (job, policy):
        kubernetes_validate.validate(document, "1.31", strict=True)
    spec = job["spec"]
    next(CronSim(spec["schedule"], datetime(2026, 3, 1, tzinfo=UTC)))
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    rule = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][0]
    assert set(rule["onExitCodes"]["values"]) == FINAL
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert policy["spec"] == {
        "podSelector": {
            "matchLabels": spec["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
        },
        "policyTypes": ["Ingress"],
    }


@pytest.mark.parametrize("code", range(10))
def test_the_container_hides_a_warning_and_nothing_else(tmp_path: Path, code: int) -> None:
    job = next(yaml.safe_load_all(_text("cronjob.yaml")))
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    check_command(shlex.split(script.splitlines()[0]))
    done = subprocess.run(
        [*container["command"], script], env=_path_with_ending(tmp_path, code), check=False
    )
    assert done.returncode == (0 if code in FINE else code)


def _path_with_ending(folder: Path, code: int) -> dict[str, str]:
    """An environment in which `cvdata` prints a summary and ends with `code`."""
    script = folder / "cvdata"
    script.write_text(f"#!/bin/sh\necho text\necho '{{\"exit_code\": {code}}}'\nexit {code}\n")
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def _constants(text: str) -> dict[str, Any]:
    """Assignments of the file's top, as Python reads them; RESULTS may be used in others."""
    found: dict[str, Any] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            code = compile(ast.Expression(node.value), "dag", "eval")
            found[node.targets[0].id] = eval(code, {"__builtins__": {}}, found)  # noqa: S307
    return found


def test_the_dag_runs_our_commands_and_knows_our_codes() -> None:
    found = _constants(_text("airflow_dag.py"))
    for name in ("CURATE", "INFER", "GC"):
        check_command(["cvdata", *found[name]])
    assert set(found["FINE"]) == FINE
    assert set(found["WORTH_ANOTHER_TRY"]) == RETRIED


class _Step:
    """What Airflow makes of a task that is called: steps that stand one after the other."""

    def __init__(self, name: str, arguments: list[str], order: list[tuple[str, str]]) -> None:
        self.name, self.arguments, self.order = name, arguments, order

    def __rshift__(self, other: "_Step") -> "_Step":
        self.order.append((self.name, other.name))
        return other


class _Task:
    def __init__(self, function: Any, order: list[tuple[str, str]]) -> None:
        self.function, self.order, self.name = function, order, function.__name__

    def override(self, *, task_id: str) -> "_Task":
        found = _Task(self.function, self.order)
        found.name = task_id
        return found

    def __call__(self, arguments: list[str]) -> _Step:
        return _Step(self.name, arguments, self.order)


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The example, run where `airflow` is the three names of it that it uses."""
    order: list[tuple[str, str]] = []
    options: dict[str, Any] = {}
    sdk, exceptions = types.ModuleType("airflow.sdk"), types.ModuleType("airflow.exceptions")
    sdk.task = lambda **_: lambda function: _Task(function, order)  # type: ignore[attr-defined]
    sdk.dag = lambda **given: options.update(given) or (lambda f: f)  # type: ignore[attr-defined]
    exceptions.AirflowException = type("AirflowException", (Exception,), {})  # type: ignore[attr-defined]
    exceptions.AirflowFailException = type(  # type: ignore[attr-defined]
        "AirflowFailException",
        (exceptions.AirflowException,),
        {},  # type: ignore[attr-defined]
    )
    for name, module in (("airflow.sdk", sdk), ("airflow.exceptions", exceptions)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "airflow", types.ModuleType("airflow"))
    names: dict[str, Any] = {"__name__": "dag"}
    exec(compile(_text("airflow_dag.py"), "airflow_dag.py", "exec"), names)  # noqa: S102
    return {"names": names, "order": order, "options": options}


def test_the_dag_is_a_chain_that_never_overlaps(dag: dict[str, Any]) -> None:
    assert dag["order"] == [("curate", "infer"), ("infer", "gc")]
    assert dag["options"]["max_active_runs"] == 1
    assert dag["options"]["catchup"] is False
    next(CronSim(dag["options"]["schedule"], datetime(2026, 3, 1, tzinfo=UTC)))


@pytest.mark.parametrize("code", range(10))
def test_the_dag_tries_again_what_may_get_better(
    dag: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("PATH", _path_with_ending(tmp_path, code)["PATH"])
    run, failed = dag["names"]["cvdata"].function, dag["names"]["AirflowFailException"]
    if code in FINE:
        assert run(["curate"]) == {"exit_code": code}
        return
    with pytest.raises(dag["names"]["AirflowException"], match=f"ended with {code}") as error:
        run(["curate"])
    assert isinstance(error.value, failed) == (code in FINAL)


def test_every_exit_code_is_sorted_and_told() -> None:
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, CvdataError)]
    raised = {kind.exit_code for kind in kinds}
    assert {0, 1, 3} | raised == FINE | RETRIED | FINAL
    told = re.findall(r"^\| (\d) \|", (ROOT / "docs/howto/nightly.md").read_text(), re.M)
    assert [int(code) for code in told] == list(range(10))


@pytest.mark.parametrize("flag", ["--metrics-fil", "--gates.max-badd=0.1"])
def test_a_rotten_example_would_be_found(flag: str) -> None:
    with pytest.raises((ConfigError, SystemExit)):
        check_command(["cvdata", "infer", "--workspace", "w", flag, "x"])


def test_alerts_name_metrics_that_there_are() -> None:
    source = (ROOT / "cvdata/metrics.py").read_text()
    rules = yaml.safe_load(_text("alerts.yaml"))["groups"][0]["rules"]
    assert len(rules) == 4
    for rule in rules:
        names = set(re.findall(r"cvdata_run_(\w+)", rule["expr"]))
        assert names
        assert all(f'"{name}"' in source for name in names), names


def test_json_is_what_the_examples_ask_for() -> None:
    for name in ("nightly.yaml", "infer.yaml"):
        found = yaml.safe_load(_text(name))
        assert (found["summary"], found["log_format"], found["lock"]) == ("json", "json", "require")
    assert json.dumps(yaml.safe_load(_text("nightly.yaml"))["gates"])
