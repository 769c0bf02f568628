"""Cluster files: valid for Ray, and closed to everybody else."""

import json
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.conftest import ROOT

CLUSTERS = ("cluster.yaml", "docs/howto/cluster-gcp.yaml", "docs/howto/cluster-onprem.yaml")
CLOUDS = CLUSTERS[:2]
# Not imported: the embedded Ray of other tests reads its environment when ray is first imported.
RAY_VERSION = version("ray")
RAY_SCHEMA = Path(str(find_spec("ray").origin)).parent / "autoscaler/ray-schema.json"  # type: ignore[union-attr]


def _load(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / name).read_text()))


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_accepts_it(name: str) -> None:
    schema = json.loads(RAY_SCHEMA.read_text())
    jsonschema.validate(_load(name), schema)


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_node_asks_for_the_token_and_the_dashboard_is_on_loopback(name: str) -> None:
    found = _load(name)
    for commands in (found["head_start_ray_commands"], found["worker_start_ray_commands"]):
        starts = [c for c in commands if "ray start" in c]
        assert len(starts) == 1
        assert "RAY_AUTH_MODE=token" in starts[0]
        assert "RAY_USAGE_STATS_ENABLED=0" in starts[0]
    head = " ".join(found["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in (ROOT / name).read_text()  # noqa: S104
    assert "~/.ray/auth_token" in found["file_mounts"].values()
    assert "chmod 600 /home/ray/.ray/auth_token" in found["setup_commands"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_head_schedules_and_does_not_compute(name: str) -> None:
    found = _load(name)
    assert "--num-cpus=0" in " ".join(found["head_start_ray_commands"])
    for key, node in found.get("available_node_types", {}).items():
        assert (node["resources"] == {"CPU": 0}) == (key == found["head_node_type"])


@pytest.mark.parametrize("name", CLOUDS)
def test_nodes_have_no_public_address_and_pools_end(name: str) -> None:
    found = _load(name)
    assert found["provider"]["use_internal_ips"] is True
    assert found["auth"]["ssh_proxy_command"]
    assert found["idle_timeout_minutes"] <= 15
    pools = {k: v for k, v in found["available_node_types"].items() if k != "head"}
    assert set(pools) == {"cpu", "gpu"}
    assert pools["gpu"]["min_workers"] == 0
    assert sum(p["max_workers"] for p in pools.values()) <= found["max_workers"]


@pytest.mark.parametrize("node", ["head", "cpu", "gpu"])
def test_aws_nodes_are_closed(node: str) -> None:
    config = _load("cluster.yaml")["available_node_types"][node]["node_config"]
    metadata = config["MetadataOptions"]
    assert metadata["HttpTokens"] == "required", "IMDSv2"
    assert metadata["HttpPutResponseHopLimit"] <= 2
    assert config["IamInstanceProfile"]["Name"] == "cvdata-node"
    assert config["SecurityGroupIds"]
    assert config["SubnetIds"]
    assert "NetworkInterfaces" not in config, "one could ask for a public address there"
    for disk in config["BlockDeviceMappings"]:
        assert disk["Ebs"]["Encrypted"] is True
    assert "InstanceMarketOptions" not in config, "spot is the operator's choice; never the head"


@pytest.mark.parametrize("node", ["head", "cpu", "gpu"])
def test_google_nodes_are_closed(node: str) -> None:
    found = _load("docs/howto/cluster-gcp.yaml")["available_node_types"][node]["node_config"]
    assert all("accessConfigs" not in n for n in found["networkInterfaces"])
    assert found["shieldedInstanceConfig"]["enableSecureBoot"] is True
    (account,) = found["serviceAccounts"]
    assert "cloud-platform" not in " ".join(account["scopes"])


def test_the_role_may_touch_two_buckets_and_pull_an_image() -> None:
    policy = json.loads((ROOT / "docs/howto/iam-policy.json").read_text())
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        assert all(re.fullmatch(r"(s3|ecr):[A-Z]\w+", action) for action in actions), "no wildcards"
        if statement["Resource"] == "*":
            assert all(action.startswith("ecr:") for action in actions)
    reading = next(s for s in policy["Statement"] if s["Sid"] == "ReadTheSource")
    assert not {a for a in reading["Action"] if "Put" in a or "Delete" in a}


def _pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_kubernetes_job_is_closed() -> None:
    job, policy = yaml.safe_load_all((ROOT / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == RAY_VERSION
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for pod in _pods(job):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
    assert policy["kind"] == "NetworkPolicy"
    assert policy["spec"]["policyTypes"] == ["Ingress"]


def test_kubernetes_accepts_the_pods_and_the_policy() -> None:
    """By its own schemas; the RayJob around the pods is KubeRay's, whose schema is no package."""
    job, policy = yaml.safe_load_all((ROOT / "rayjob.yaml").read_text())
    kubernetes_validate.validate(policy, "1.31", strict=True)
    pods = _pods(job)
    assert len(pods) == 3
    for spec in pods:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"}, "spec": spec}
        kubernetes_validate.validate(pod, "1.31", strict=True)


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "-c constraints.txt" in text
    assert text.index("USER ray") < text.index("CMD")
    assert "RAY_AUTH_MODE=token" in text
    assert not re.search(r"^FROM \S+:latest", text, re.M)
    pinned = (ROOT / "constraints.txt").read_text()
    assert f"ray=={RAY_VERSION}" in pinned
