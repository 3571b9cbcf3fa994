"""An upload that is killed and run again ends where one ends that nobody killed."""

import subprocess
import sys

import pytest

from pipelines.kubeflow import uploading
from pipelines.kubeflow.client import Client
from tests.pipelines.kubeflow.conftest import COMPILED, ROOT
from tests.pipelines.kubeflow.standin import Fault, Standin

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("after", [False, True], ids=["before it was done", "after it was done"])
@pytest.mark.parametrize("end", ["/pipelines", "/upload_version"])
def test_an_upload_that_is_killed_and_run_again_makes_no_double(
    end: str, after: bool, kfp: Standin, address: str, client: Client
) -> None:
    fault = Fault("POST", end, after=after)
    kfp.faults = [fault]
    command = (sys.executable, "-m", "tests.pipelines.kubeflow.uploader", address, str(COMPILED))
    killed = subprocess.Popen(command, cwd=ROOT)
    fault.then = killed.kill
    assert killed.wait(60) == -9

    made = uploading.upload(client, COMPILED, project="flights")

    assert [one["pipeline_version_id"] for one in kfp.things["versions"]] == [made.version.id]
    assert [one["pipeline_id"] for one in kfp.things["pipelines"]] == [made.pipeline.id]
    assert kfp.seen["POST /apis/v2beta1/pipelines/upload_version"] == 1
