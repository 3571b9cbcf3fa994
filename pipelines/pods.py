"""Give the pod of a task what its site says of it (components/foundation/pods.py has the words)."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

from components.face import images
from components.foundation.errors import UserError, nearest
from components.foundation.pods import NodeMatch, Pod, Pods, Use

_STEPS = pathlib.Path(__file__).parents[1] / "components"


def check(pods: Pods, *, site: str, ours: frozenset[str]) -> None:
    """Refuse a family or step that is not there, and Secrets that only their own steps get.

    Raises:
        UserError: naming the place in the site file.
    """
    _known(pods.families, sorted(images()), f"site {site}: pods.families")
    _known(pods.steps, list(steps()), f"site {site}: pods.steps")
    for place, pod in pods.said().items():
        for secret in pod.secrets:
            if secret.name in ours:
                raise UserError(
                    f"site {site}: pods.{place}.secrets: {secret.name} holds keys, which only the "
                    "steps that need them get, by the pipeline; name another Secret",
                    code="site-secret-reserved",
                )


def _known(said: dict[str, Pod], known: list[str], where: str) -> None:
    for name in said:
        if name not in known:
            raise UserError(f"{where}.{name}: unknown; {nearest(name, known)}", code="step-unknown")


@functools.cache
def steps() -> tuple[str, ...]:
    """Name every step of the suite, by its folder."""
    return tuple(sorted(path.parent.name for path in _STEPS.glob("*/*/component.py")))


def of(pods: Pods, task: Any) -> Pod:
    """Return what a site says of a task: by its component's name and its image's family."""
    families = {image: family for family, image in images().items()}
    step = task.component_spec.name.replace("-", "_")
    return pods.of(step, family=families.get(task.container_spec.image, ""))


def give(task: Any, pod: Pod) -> None:
    """Say to KFP all that a site says, but for resources, which come with the step's own."""
    _times(task, pod)
    _identity(task, pod)
    _placement(task, pod)
    _volumes(task, pod)
    _uses(task, pod)


def _times(task: Any, pod: Pod) -> None:
    """Say for how long a step may run, and how often again."""
    from kfp import kubernetes

    if pod.timeout_s:
        kubernetes.set_timeout(task, pod.timeout_s)
    if (again := pod.retries) is not None:
        task.set_retry(
            again.times,
            backoff_duration=f"{again.wait_s}s",
            backoff_factor=again.factor,
            backoff_max_duration=f"{again.longest_wait_s}s",
        )


def _identity(task: Any, pod: Pod) -> None:
    """Say who runs what: user, labels and images."""
    from kfp import kubernetes

    if pod.security:
        who = {"run_as_user": pod.security.user, "run_as_group": pod.security.group}
        kubernetes.set_security_context(task, **who, run_as_non_root=True)
    for key, value in pod.labels.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in pod.annotations.items():
        kubernetes.add_pod_annotation(task, key, value)
    if pod.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(pod.image_pull_secrets))
    if pod.image_pull_policy:
        kubernetes.set_image_pull_policy(task, pod.image_pull_policy)


def _placement(task: Any, pod: Pod) -> None:
    from kfp import kubernetes

    for key, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for one in pod.tolerations:
        kubernetes.add_toleration(
            task, one.key, one.operator, one.value, one.effect, toleration_seconds=one.seconds
        )
    _affinity(task, pod)


def _affinity(task: Any, pod: Pod) -> None:
    """Say all demands as one term: of several terms KFP and Kubernetes are content with any."""
    from kfp import kubernetes

    demands = [_expression(one) for one in pod.node_affinity if one.weight is None]
    if demands:
        kubernetes.add_node_affinity(task, demands)
    for one in pod.node_affinity:
        if one.weight is not None:
            kubernetes.add_node_affinity(task, [_expression(one)], weight=one.weight)


def _expression(one: NodeMatch) -> dict[str, Any]:
    return {"key": one.key, "operator": one.operator, "values": list(one.values)}


def _volumes(task: Any, pod: Pod) -> None:
    from kfp import kubernetes

    for claim in pod.claims:
        kubernetes.mount_pvc(task, claim.name, claim.mount, claim.sub_path)
    for one in pod.empty_dirs:
        kubernetes.empty_dir_mount(task, one.name, one.mount, one.medium, one.size)
    for volume in pod.ephemeral_volumes:
        kubernetes.add_ephemeral_volume(
            task,
            volume.name,
            volume.mount,
            list(volume.access_modes),
            volume.size,
            storage_class_name=volume.storage_class,
            labels=volume.labels,
            annotations=volume.annotations,
        )


def _uses(task: Any, pod: Pod) -> None:
    from kfp import kubernetes as k8s

    for one in pod.secrets:
        _use(task, one, env=k8s.use_secret_as_env, files=k8s.use_secret_as_volume)
    for one in pod.config_maps:
        _use(task, one, env=k8s.use_config_map_as_env, files=k8s.use_config_map_as_volume)
    for variable, field in pod.fields.items():
        k8s.use_field_path_as_env(task, variable, field)


def _use(task: Any, used: Use, *, env: Callable[..., Any], files: Callable[..., Any]) -> None:
    if used.mount:
        files(task, used.name, used.mount, optional=used.optional)
    else:
        env(task, used.name, used.env, optional=used.optional)
