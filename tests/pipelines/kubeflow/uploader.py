"""Upload a compiled pipeline to an address: a process that can be killed."""

import pathlib
import sys

from pipelines.kubeflow import uploading
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.identity import Identity

if __name__ == "__main__":
    client = Client(sys.argv[1], Identity(), namespace="falaj")
    uploading.upload(client, pathlib.Path(sys.argv[2]), project="flights")
