"""KFP's API by the verbs that we use, over the typed client of kfp-server-api."""

import contextlib
import functools
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import kfp_server_api as kfp

from components.foundation.errors import UserError
from components.foundation.site import Site
from components.foundation.storage import NotFound
from pipelines.kubeflow import transport, way
from pipelines.kubeflow.identity import Identity
from pipelines.kubeflow.proxy import Proxy
from pipelines.kubeflow.values import Pipeline, Run, Schedule, Scheduled, Version

_PAGE = 100


class Client:
    """One KFP API, and who we are there.

    Attributes:
        link: what addresses for people begin with.
    """

    def __init__(
        self,
        address: str,
        identity: Identity,
        *,
        namespace: str,
        link: str = "",
        proxy: Proxy | None = None,
    ) -> None:
        api = transport.connected(address, identity, proxy)
        self.link = link or address
        self._ours = namespace
        self._health = kfp.HealthzServiceApi(api)
        self._pipelines = kfp.PipelineServiceApi(api)
        self._uploads = kfp.PipelineUploadServiceApi(api)
        self._experiments = kfp.ExperimentServiceApi(api)
        self._runs = kfp.RunServiceApi(api)
        self._schedules = kfp.RecurringRunServiceApi(api)

    @classmethod
    def at(cls, site: Site, identity: Identity, environment: Mapping[str, str]) -> Self:
        """Connect to the API that a site names, through the proxy that an environment names.

        Raises:
            Refused: nobody knows of one of them that it stands where the site's law wants it.
        """
        if site.pipelines is None:
            raise UserError(
                f"site {site.name}: names no API of Kubeflow Pipelines; add `pipelines:` with "
                "`api:` to its file",
                code="kfp-unconfigured",
            )
        named = site.pipelines
        proxy = Proxy.of(environment, target=named.api)
        way.hold(site, proxy)
        return cls(named.api, identity, namespace=site.namespace, link=named.link, proxy=proxy)

    @functools.cached_property
    def namespace(self) -> str | None:
        """Where our objects live; KFP for a single user has no namespaces and refuses any."""
        return self._ours if self._health.healthz_service_get_healthz().multi_user else None

    # pipelines and versions

    def pipeline(self, name: str) -> Pipeline | None:
        try:
            found = self._pipelines.pipeline_service_get_pipeline_by_name(name, **self._here)
        except NotFound:
            return None
        return Pipeline.of(found)

    def create_pipeline(self, name: str, *, description: str, tags: Mapping[str, str]) -> Pipeline:
        """Create a pipeline without a version, else raise Conflict."""
        asked = kfp.V2beta1Pipeline(
            name=name,
            display_name=name,
            description=description,
            namespace=self.namespace,
            tags=dict(tags),
        )
        return Pipeline.of(self._pipelines.pipeline_service_create_pipeline(asked))

    def version(self, pipeline: Pipeline, name: str) -> Version | None:
        """Find a version by its name, which no other version of the pipeline has."""
        return next((one for one in self.versions(pipeline, name) if one.name == name), None)

    def versions(self, pipeline: Pipeline, name: str = "") -> list[Version]:
        """List versions, the newest first."""
        ask = functools.partial(
            self._pipelines.pipeline_service_list_pipeline_versions,
            pipeline.id,
            sort_by="created_at desc",
        )
        return [Version.of(one) for one in _pages(ask, "pipeline_versions", name)]

    def upload_version(
        self,
        pipeline: Pipeline,
        name: str,
        text: str,
        *,
        description: str,
        tags: Mapping[str, str],
    ) -> Version:
        """Upload a compiled pipeline as a version, else raise Conflict."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / f"{name}.yaml"
            file.write_text(text, encoding="utf-8")
            made = self._uploads.upload_pipeline_version(
                str(file),
                name=name,
                display_name=name,
                pipelineid=pipeline.id,
                description=description,
                tags=json.dumps(dict(tags)),
            )
        return Version.of(made)

    def tag_version(self, version: Version, tags: Mapping[str, str]) -> Version:
        """Give a version these tags in the place of those that it has."""
        changed = self._pipelines.pipeline_service_update_pipeline_version(
            version.pipeline, version.id, kfp.InlineObject1(tags=dict(tags))
        )
        return Version.of(changed)

    # experiments and runs

    def experiment(self, name: str) -> str | None:
        """Find an experiment; return its id.

        Raises:
            UserError: it is archived, so it keeps its name and takes no runs.
        """
        ask = functools.partial(self._experiments.experiment_service_list_experiments, **self._here)
        for one in _pages(ask, "experiments", name):
            if one.display_name == name and one.storage_state == "ARCHIVED":
                raise UserError(
                    f"experiment {name}: is archived; restore it in the dashboard, or name "
                    "another with --experiment",
                    code="kfp-experiment-archived",
                )
            if one.display_name == name:
                return str(one.experiment_id)
        return None

    def create_experiment(self, name: str) -> str:
        """Create an experiment, else raise Conflict."""
        asked = kfp.V2beta1Experiment(display_name=name, namespace=self.namespace)
        made = self._experiments.experiment_service_create_experiment(asked)
        return str(made.experiment_id)

    def runs(self, name: str, *, experiment: str) -> list[Run]:
        """List the runs of a name; KFP lets several have one."""
        ask = functools.partial(
            self._runs.run_service_list_runs, experiment_id=experiment, **self._here
        )
        return [Run.of(one) for one in _pages(ask, "runs", name) if one.display_name == name]

    def run(self, id: str) -> Run:
        return Run.of(self._runs.run_service_get_run(id))

    def create_run(
        self,
        name: str,
        version: Version,
        *,
        experiment: str,
        parameters: Mapping[str, Any],
        root: str,
        service_account: str,
    ) -> Run:
        """Start a run."""
        asked = kfp.V2beta1Run(
            display_name=name,
            experiment_id=experiment,
            pipeline_version_reference=_reference(version.pipeline, version.id),
            runtime_config=_config(parameters, root),
            service_account=service_account or None,
        )
        return Run.of(self._runs.run_service_create_run(asked))

    # schedules

    def schedules(self, name: str = "") -> list[Scheduled]:
        """List recurring runs; KFP lets several have one name."""
        ask = functools.partial(
            self._schedules.recurring_run_service_list_recurring_runs,
            sort_by="created_at desc",
            **self._here,
        )
        found = [Scheduled.of(one) for one in _pages(ask, "recurring_runs", name)]
        return [one for one in found if name in ("", one.schedule.name)]

    def create_schedule(self, wanted: Schedule, *, enabled: bool) -> Scheduled:
        """Create a recurring run that starts no run for a time that has passed."""
        modes = kfp.RecurringRunMode
        asked = kfp.V2beta1RecurringRun(
            display_name=wanted.name,
            experiment_id=wanted.experiment,
            pipeline_version_reference=_reference(wanted.pipeline, wanted.version),
            runtime_config=_config(wanted.parameters, wanted.root),
            service_account=wanted.service_account or None,
            max_concurrency=str(wanted.concurrency),
            trigger=_trigger(wanted),
            mode=modes.ENABLE if enabled else modes.DISABLE,
            no_catchup=True,
        )
        return Scheduled.of(self._schedules.recurring_run_service_create_recurring_run(asked))

    def enable(self, schedule: Scheduled) -> None:
        self._schedules.recurring_run_service_enable_recurring_run(schedule.id)

    def disable(self, schedule: Scheduled) -> None:
        self._schedules.recurring_run_service_disable_recurring_run(schedule.id)

    def delete(self, schedule: Scheduled) -> None:
        """Delete a schedule; one that somebody deleted meanwhile is deleted."""
        with contextlib.suppress(NotFound):
            self._schedules.recurring_run_service_delete_recurring_run(schedule.id)

    @property
    def _here(self) -> dict[str, str]:
        return {"namespace": self.namespace} if self.namespace else {}


def _pages(ask: Callable[..., Any], field: str, name: str = "") -> Iterator[Any]:
    """Yield what a list holds, page after page; of one name if one is given."""
    only = {"filter": _named(name)} if name else {}
    token = ""
    while True:
        given = {"page_token": token} if token else {}
        page = ask(page_size=_PAGE, **only, **given)
        yield from getattr(page, field) or ()
        token = page.next_page_token or ""
        if not token:
            return


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [predicate]})


def _reference(pipeline: str, version: str) -> Any:
    """Name a version, or a pipeline's latest where no version is named."""
    return kfp.V2beta1PipelineVersionReference(
        pipeline_id=pipeline, pipeline_version_id=version or None
    )


def _config(parameters: Mapping[str, Any], root: str) -> Any:
    return kfp.V2beta1RuntimeConfig(parameters=dict(parameters), pipeline_root=root or None)


def _trigger(wanted: Schedule) -> Any:
    if wanted.cron:
        return kfp.V2beta1Trigger(cron_schedule=kfp.V2beta1CronSchedule(cron=wanted.cron))
    periodic = kfp.V2beta1PeriodicSchedule(interval_second=str(wanted.every))
    return kfp.V2beta1Trigger(periodic_schedule=periodic)
