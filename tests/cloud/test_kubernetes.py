"""What Spark sends to Kubernetes under the shipped properties, and the shipped manifests, held against its schemas."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cloud.kubernetes import KubernetesApi, kubernetes_api
from tests.cloud.processes import CLOUD, ROOT
from tests.cluster.faults.job import launch
from tests.cluster.standalone import SPARK_HOME, clean_environment

CONF = ROOT / "conf" / "spark-kubernetes-gpu.conf"
MANIFESTS = ROOT / "conf" / "kubernetes.yaml"
SMALL = ("spark.driver.memory=600m", "spark.log.level=ERROR", "spark.ui.enabled=false")
# Inside the cluster the driver would be a pod: it is asked after its own, which is not there.
OUTSIDE = (
    "spark.driver.host=127.0.0.1",
    "spark.driver.bindAddress=127.0.0.1",
    "spark.kubernetes.executor.apiPollingInterval=1s",
)


@pytest.fixture(autouse=True)
def _fetched() -> None:
    if not (CLOUD / "server" / "bin" / "kubernetes-validate").is_file():
        pytest.skip("the schemas of Kubernetes are not there: make test-cloud fetches them")


def check(objects: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """No unknown key, and every value of the type that Kubernetes wants."""
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all([json.loads(json.dumps(one)) for one in objects]), encoding="utf-8")
    command = [str(CLOUD / "server" / "bin" / "kubernetes-validate"), "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def submit(api: KubernetesApi, mode: str, *conf: str) -> list[str]:
    return [
        *(str(SPARK_HOME / "bin" / "spark-submit"), "--properties-file", str(CONF)),
        *("--master", f"k8s://{api.url}", "--deploy-mode", mode),
        *(word for setting in (*SMALL, *conf) for word in ("--conf", setting)),
    ]


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pod["spec"]["containers"]
    return found


def test_the_shipped_manifests_are_valid_and_fit_the_properties(tmp_path: Path) -> None:
    manifests = {one["kind"]: one for one in yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8"))}
    check(manifests.values(), tmp_path)
    lines = CONF.read_text(encoding="utf-8").splitlines()
    given = dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))
    assert given["spark.kubernetes.namespace"].strip() == manifests["Namespace"]["metadata"]["name"]
    account = given["spark.kubernetes.authenticate.driver.serviceAccountName"].strip()
    assert account == manifests["ServiceAccount"]["metadata"]["name"]
    claims = {value.strip() for key, value in given.items() if key.endswith("claimName")}
    assert claims == {manifests["PersistentVolumeClaim"]["metadata"]["name"]}


def test_a_wrong_manifest_is_found(tmp_path: Path) -> None:
    container = {"name": "c", "image": "i", "imagePullPolice": "Always"}
    wrong = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [container]}}
    with pytest.raises(AssertionError, match="imagePullPolice"):
        check([wrong], tmp_path)


def test_cluster_mode_makes_a_driver_pod_that_mounts_the_models(tmp_path: Path) -> None:
    with kubernetes_api() as api:
        words = submit(api, "cluster", "spark.kubernetes.submission.waitAppCompletion=false")
        command = [*words, "local:///opt/app/jobs/refine.py", "--config", "/opt/app/conf/refine.yaml"]
        done = subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] + str(api.asked)
    check(api.objects, tmp_path)
    (pod,) = api.of_kind("Pod")
    (driver,) = containers(pod)
    assert driver["image"] == "registry.example/spark_prox:0.1.0"
    assert driver["args"][0] == "driver"
    assert "local:///opt/app/jobs/refine.py" in driver["args"]
    assert {"name": "models", "mountPath": "/models", "readOnly": True}.items() <= {
        key: value
        for mount in driver["volumeMounts"]
        if mount["mountPath"] == "/models"
        for key, value in mount.items()
    }.items()
    assert "nvidia.com/gpu" not in driver["resources"]["limits"]  # the driver generates nothing
    assert pod["spec"]["serviceAccountName"] == "spark"
    made = [path for method, path in api.asked if method in ("POST", "PATCH")]
    assert made
    assert all(path.startswith("/api/v1/namespaces/spark/") for path in made), made


def test_an_executor_pod_asks_for_one_gpu_and_the_memory_of_its_python(tmp_path: Path) -> None:
    with kubernetes_api() as api:
        python = (f"spark.pyspark.python={sys.executable}", f"spark.pyspark.driver.python={sys.executable}")
        words = submit(api, "client", *OUTSIDE, *python, "spark.executor.instances=2")
        job = [*words, str(ROOT / "jobs" / "doctor.py"), "--warehouse", str(tmp_path / "w")]
        with launch(job, tmp_path / "driver.log") as driver:
            end = time.monotonic() + 120
            while driver.running and len(api.of_kind("Pod")) < 2 and time.monotonic() < end:
                time.sleep(0.2)
            assert len(api.of_kind("Pod")) == 2, driver.output[-3000:] + str(api.asked[-20:])
    check(api.objects, tmp_path)
    for pod in api.of_kind("Pod"):
        (executor,) = containers(pod)
        limits = executor["resources"]["limits"]
        assert (limits["nvidia.com/gpu"], limits["memory"]) == ("1", "32768Mi")
        assert executor["args"] == ["executor"]
        environment = {one["name"]: one.get("value") for one in executor["env"]}
        assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert any(mount["mountPath"] == "/models" for mount in executor["volumeMounts"])
