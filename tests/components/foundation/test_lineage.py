"""Lineage events are what OpenLineage's own client would send."""

import importlib
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from components.foundation import cost, lineage
from components.foundation.errors import UserError
from components.foundation.lineage import Lineage
from components.foundation.storage import Address, ObjectStore, Settings

_PLACE = {"provider": "on-premises", "country": "AE", "profile": "health"}


@pytest.fixture
def steps() -> Lineage:
    """A step's lineage; building events needs no server."""
    store = ObjectStore(Settings("http://s3.example:8333", "key", "secret", "me-central-1"))
    return Lineage(store, run_id="run-7", job="validate", place=_PLACE)


def test_an_event_is_valid_for_the_client_of_openlineage(steps: Lineage) -> None:
    from openlineage.client import event_v2

    event = steps.event("COMPLETE", ["s3://raw/flights@7"], ["s3://curated/flights@3"])
    typed = event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(**event["run"]),
        job=event_v2.Job(**event["job"]),
        eventType=event_v2.RunState[event["eventType"]],
        inputs=[event_v2.InputDataset(**one) for one in event["inputs"]],
        outputs=[event_v2.OutputDataset(**one) for one in event["outputs"]],
    )

    assert typed.schemaURL == event["schemaURL"]


@pytest.mark.parametrize(
    ("facet", "module", "name"),
    [
        ("parent", "parent_run", "ParentRunFacet"),
        ("errorMessage", "error_message_run", "ErrorMessageRunFacet"),
        ("version", "dataset_version_dataset", "DatasetVersionDatasetFacet"),
    ],
)
def test_a_facet_names_the_schema_its_class_names(
    steps: Lineage, facet: str, module: str, name: str
) -> None:
    kind = getattr(importlib.import_module(f"openlineage.client.generated.{module}"), name)
    event = steps.event("FAIL", ["s3://raw/flights@7"], error=UserError("no", code="x"))
    facets = {**event["run"]["facets"], **event["inputs"][0]["facets"]}

    assert facets[facet]["_schemaURL"] == kind._get_schema()
    assert set(facets[facet]) - {"_producer", "_schemaURL"} <= {a.name for a in _fields(kind)}


def _fields(kind: Any) -> tuple[Any, ...]:
    return tuple(kind.__attrs_attrs__)


def test_a_pinned_version_becomes_a_facet_and_leaves_the_name() -> None:
    found = lineage.dataset("s3://falaj-curated/observations/delays@12")

    assert (found["namespace"], found["name"]) == ("s3://falaj-curated", "observations/delays")
    assert found["facets"]["version"]["datasetVersion"] == "12"


def test_a_sealed_release_is_named_like_its_object() -> None:
    found = lineage.dataset("sealed+s3://falaj-models/delays/0123456789ab")

    assert found == {"namespace": "s3://falaj-models", "name": "delays/0123456789ab"}


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("postgres://db:5432/shop.public.orders", "postgres://db:5432", "shop.public.orders"),
        ("sqlite:///data/shop.db/orders", "sqlite:///data/shop.db", "orders"),
        ("https://weather.example/v1/rows@latest", "https://weather.example", "v1/rows@latest"),
    ],
    ids=["server", "file", "service"],
)
def test_a_source_elsewhere_is_named_by_its_server_or_folder(
    uri: str, namespace: str, name: str
) -> None:
    assert lineage.dataset(uri) == {"namespace": namespace, "name": name}


def test_the_residency_facet_keeps_to_its_published_schema(steps: Lineage) -> None:
    schema = json.loads(
        pathlib.Path(lineage.__file__).with_name("residency").joinpath("facet.json").read_text()
    )
    facet = steps.event("START")["run"]["facets"]["residency"]

    jsonschema.validate(facet, schema)

    assert facet["country"] == "AE"
    assert facet["host"] == "s3.example"


def test_what_a_step_cost_is_in_its_event(steps: Lineage) -> None:
    schema = json.loads(pathlib.Path(lineage.__file__).with_name("cost_facet.json").read_text())
    with cost.metered() as meter:
        cost.reads("s3://raw/flights@7", rows=10, bytes=100)
        cost.writes("s3://curated/flights@3", rows=9, bytes=90)

    known = ["s3://curated/flights@3"]
    event = steps.event("COMPLETE", ["s3://raw/flights@7", "s3://x/y@1"], known, meter=meter)

    jsonschema.validate(event["run"]["facets"]["cost"], schema)
    assert event["run"]["facets"]["cost"]["rows_read"] == 10
    read, unmeasured = event["inputs"]
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 10
    assert event["outputs"][0]["outputFacets"]["outputStatistics"]["size"] == 90
    assert "inputFacets" not in unmeasured


@pytest.mark.parametrize(
    ("way", "module", "name"),
    [
        ("input", "input_statistics_input_dataset", "InputStatisticsInputDatasetFacet"),
        ("output", "output_statistics_output_dataset", "OutputStatisticsOutputDatasetFacet"),
    ],
)
def test_statistics_name_the_schema_their_class_names(
    steps: Lineage, way: str, module: str, name: str
) -> None:
    kind = getattr(importlib.import_module(f"openlineage.client.generated.{module}"), name)
    with cost.metered() as meter:
        cost.reads("s3://raw/flights@7", rows=1)
        cost.writes("s3://raw/flights@7", rows=1)

    event = steps.event("COMPLETE", ["s3://raw/flights@7"], ["s3://raw/flights@7"], meter=meter)
    facet = event[f"{way}s"][0][f"{way}Facets"][f"{way}Statistics"]

    assert facet["_schemaURL"] == kind._get_schema()
    assert set(facet) - {"_producer", "_schemaURL"} <= {a.name for a in _fields(kind)}


def test_a_place_that_nobody_declared_is_not_guessed(steps: Lineage) -> None:
    bare = Lineage(steps.store, run_id="r", job="j")

    assert bare.event("START")["run"]["facets"]["residency"]["country"] == "undeclared"


def test_steps_of_one_run_have_one_parent(steps: Lineage) -> None:
    other = Lineage(steps.store, run_id="run-7", job="curate")
    mine, theirs = (s.event("START")["run"] for s in (steps, other))

    assert mine["facets"]["parent"] == theirs["facets"]["parent"]
    assert mine["runId"] != theirs["runId"]


def test_a_foreign_error_leaves_its_type_and_not_its_words(steps: Lineage) -> None:
    event = steps.event("FAIL", error=ValueError("row of Fatima Al Mansoori"))

    assert event["run"]["facets"]["errorMessage"]["message"] == "ValueError"


def test_a_step_leaves_its_events_in_the_evidence_bucket(store: ObjectStore, unique: str) -> None:
    here = Lineage(store, run_id=unique, job="validate")
    here.start()
    here.complete(inputs=["s3://falaj-raw/flights@1"], outputs=[])

    found = [
        json.loads(store.get(item.address))["eventType"]
        for item in store.list(Address("falaj-evidence", f"lineage/{unique}/"))
    ]
    assert sorted(found) == ["COMPLETE", "START"]


def test_a_failing_step_keeps_its_own_error_when_the_store_is_gone() -> None:
    gone = ObjectStore(Settings("http://127.0.0.1:1", "key", "secret", seconds=0.5))

    with pytest.raises(UserError, match="mine"), Lineage(gone, run_id="r", job="j").failing():
        raise UserError("mine", code="x")


def test_starting_a_step_does_not_import_the_client() -> None:
    program = "import sys, components.step; sys.exit('openlineage' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_step_that_only_leaves_lineage_imports_no_slow_client(
    store: ObjectStore, unique: str
) -> None:
    """Every step pays for what this imports, 170 times in a run of the example."""
    program = (
        "import sys\n"
        "from components.step import step\n"
        "with step('trivial') as here: here.audit('kind', 'subject', {})\n"
        "sys.exit(', '.join({'minio', 'urllib3', 'pyarrow', 'deltalake'} & set(sys.modules)) or 0)"
    )
    environment = {**os.environ, **store.settings.environment(), "FALAJ_RUN_ID": unique}

    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)

    assert done.returncode == 0
    assert list(store.list(Address("falaj-evidence", f"lineage/{unique}/")))
