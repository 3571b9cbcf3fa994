"""What a place gives a step: on a cluster its environment and identity, on a laptop nothing."""

import enum
import pathlib
from dataclasses import dataclass
from typing import Any, Self, assert_never

from components.foundation.errors import Refused, UserError
from components.foundation.pods import Pod
from components.foundation.site import Site
from components.foundation.verdict import Verdict
from components.governance.attest_residency import attestation
from pipelines import pods

SITE_CONFIG = "falaj-site"
STORE_SECRET = "falaj-object-store"  # noqa: S105 - the name of a Secret, not its content
OPENING_SECRET = "falaj-keys"  # noqa: S105 - the name of a Secret, not its content
SIGNING_SECRET = "falaj-signing"  # noqa: S105 - the name of a Secret, not its content
ONLINE_SECRET = "falaj-online-store"  # noqa: S105 - the name of a Secret, not its content
ONLINE_STORE = "FALAJ_ONLINE_STORE"
KEYS_PATH = "/var/run/falaj/keys"
SITE_NAMES = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "FALAJ_BUCKETS",
    "PROMETHEUS_URL",
    "FALAJ_NAMESPACE",
    "FALAJ_PROVIDER",
    "FALAJ_COUNTRY",
    "FALAJ_RESIDENCY",
)
KEEPER_NAMES = (  # where keys are kept outside of the ring, if any are (docs/keys.md)
    "TRANSIT_SECRET_ENGINE_PATH",
    "VAULT_ADDR",
    "VAULT_CACERT",
    "VAULT_NAMESPACE",
    "VAULT_PATH",
    "VAULT_ROLE",
)
STORE_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class Keys(enum.Enum):
    """What a step does with sealed releases and channels."""

    NONE = enum.auto()
    OPEN = enum.auto()
    SIGN = enum.auto()


@dataclass(frozen=True, slots=True)
class Place:
    """Where compiled pipelines will run.

    kfp.local ignores Kubernetes settings without a word, so the laptop is given none.
    """

    site: Site

    @classmethod
    def named(cls, name: str) -> Self:
        """Read a site by the name of one that ships here, or by the path of its file."""
        shipped = pathlib.Path(__file__).with_name("sites") / f"{name}.yaml"
        site = Site.load(shipped if shipped.exists() else pathlib.Path(name))
        pods.check(site.pods, site=name, ours=frozenset({OPENING_SECRET, SIGNING_SECRET}))
        return cls(site)

    @classmethod
    def here(cls, name: str) -> Self:
        """Read a site on which this machine can run; a cluster is not one."""
        place = cls.named(name)
        if place.on_kubernetes:
            raise UserError(
                f"site {name}: is a cluster; compile with `falaj compile` and upload "
                "build/pipelines",
                code="site-is-a-cluster",
            )
        place.hold()
        return place

    def hold(self) -> Verdict:
        """Judge whether the site keeps bytes where its law wants them; return the verdict.

        Raises:
            Refused: it does not, so nothing may start.
        """
        verdict = attestation.attest(self.site)
        if not verdict.passes:
            raise Refused(f"site {self.site.name}: {verdict.reason}", code="residency-refused")
        return verdict

    @property
    def on_kubernetes(self) -> bool:
        return self.site.kind == "cluster"

    def settle(
        self,
        task: Any,
        *,
        name: str,
        cached: bool = True,
        retries: int = 0,
        cpu: str = "1",
        memory: str = "2G",
        keys: Keys = Keys.NONE,
    ) -> Any:
        """Give a task its name, caching, retries and (on a cluster) what its pod needs.

        Retries are for steps that talk to something that may come back.
        """
        task.set_display_name(name)
        task.set_caching_options(cached)
        if retries and self.on_kubernetes:  # kfp.local would sleep the backoff through a Ctrl-C
            task.set_retry(retries, backoff_duration="10s", backoff_factor=2.0)
        said = pods.of(self.site.pods, task)
        _give_resources(task, said, cpu=cpu, memory=memory)
        if self.on_kubernetes:
            _give_environment(task)
            _give_keys(task, keys)
            pods.give(task, said)
        return task

    def reach_online_store(self, task: Any) -> None:
        """Tell a task where Feast's online store is, on a cluster that has one."""
        if self.on_kubernetes:
            from kfp import kubernetes

            name = {ONLINE_STORE: ONLINE_STORE}
            kubernetes.use_secret_as_env(task, ONLINE_SECRET, name, optional=True)


def _give_resources(task: Any, said: Pod, *, cpu: str, memory: str) -> None:
    """Say what a pod gets, as kfp's four setters would, each of which reads its callers' source.

    That was half of the time to compile, and more of it where frameworks are imported.
    """
    from kfp.dsl.structures import ResourceSpec

    task.container_spec.resources = ResourceSpec(
        cpu_request=said.cpu_request or "250m",
        cpu_limit=said.cpu or cpu,
        memory_request=said.memory_request or "512M",
        memory_limit=said.memory or memory,
    )
    if device := said.accelerator:
        task.container_spec.resources.accelerator_type = device.type
        task.container_spec.resources.accelerator_count = str(device.count)


def _give_environment(task: Any) -> None:
    from kfp import kubernetes

    kubernetes.use_config_map_as_env(task, SITE_CONFIG, {name: name for name in SITE_NAMES})
    kubernetes.use_secret_as_env(task, STORE_SECRET, {name: name for name in STORE_NAMES})
    kubernetes.use_field_path_as_env(task, "FALAJ_RUN_ID", "metadata.labels['pipeline/runid']")
    kubernetes.set_security_context(
        task, run_as_user=65532, run_as_group=65532, run_as_non_root=True
    )


def _give_keys(task: Any, keys: Keys) -> None:
    """Mount the ring a step needs; the signing key goes to steps that sign, and no others."""
    from kfp import kubernetes

    match keys:
        case Keys.NONE:
            return
        case Keys.OPEN:
            secret = OPENING_SECRET
        case Keys.SIGN:
            secret = SIGNING_SECRET
        case _:
            assert_never(keys)
    kubernetes.use_secret_as_volume(task, secret, mount_path=KEYS_PATH)
    task.set_env_variable("FALAJ_KEYS", KEYS_PATH)
    names = {name: name for name in KEEPER_NAMES}
    kubernetes.use_config_map_as_env(task, SITE_CONFIG, names, optional=True)
