"""Deploy a sealed release into the free slot of a model.

Reads: the model's InferenceServices `<model>-a` and `<model>-b`, or `<model>` with the backends
    canary and knative; their Deployments or revisions, its HTTPRoute `<model>` and ConfigMap
    `<model>-rollout`; which kinds the cluster has; the candidate channel when no release is
    named; the release's signed statement, which says what serves it.
Writes: those objects, by server-side apply. The first release of a model gets all traffic,
    a later one runs dark beside the champion.
Needs: KUBECONFIG or a pod's service account; FALAJ_KEYS to check signatures; FALAJ_DOMAIN for
    the host's default.
Fails when: there is no such release, or it is not signed by us; a rollout of another release is
    in progress, the cluster cannot split traffic as asked, another manager has changed our
    objects, the Kubernetes API is down, or the pods cannot reach the object store: the slot then
    stays without traffic, and the next call goes on with it. A release that never becomes ready
    is a verdict, not a failure.
"""

from typing import NamedTuple

from components.face import component


@component("release")
def deploy(
    model_name: str,
    release: str = "",
    namespace: str = "",
    min_replicas: int = 1,
    max_replicas: int = 2,
    timeout_s: float = 300.0,
    host: str = "",
    gateway: str = "",
    observations: str = "",
    feature_repository: str = "",
    backend: str = "auto",
) -> NamedTuple("Outputs", [("slot", str), ("release", str), ("verdict", dict), ("decision", str)]):
    """Bring a sealed release into the free slot, dark, and wait until it really serves.

    Args:
        model_name: name of the model, e.g. "delays".
        release: sealed+s3://falaj-models/MODEL/VERSION; empty: the candidate channel's.
        namespace: where the objects live; empty: the site's.
        min_replicas: pods the slot has at least; all must be available.
        max_replicas: pods the autoscaler may go to.
        timeout_s: seconds to wait for readiness before the release is refused.
        host: host name the model answers under; empty: as it is, at first MODEL.NAMESPACE.DOMAIN.
        gateway: Gateway of the route, NAME or NAMESPACE/NAME; empty: as it is, at first falaj.
        observations: s3://bucket/prefix for what the server observes; empty: nothing is kept.
        feature_repository: package of the feature definitions, e.g. examples.flights.features: a
            transformer then looks up what the release was trained with; empty: clients send it.
        backend: what splits traffic: twins, canary, knative, or auto, which takes twins wherever
            Gateway API is. A model keeps the one that it was first deployed with.

    Returns:
        The slot, the release, the verdict (accept or refuse) and its decision as text.
    """
    from components.deployment import releases, route, slots
    from components.deployment.deploy.launch import Launch, launch
    from components.face import images
    from components.foundation.kubernetes.client import Cluster
    from components.step import step

    with step("deploy") as here:
        cluster = Cluster.connect(here.environment, namespace=namespace)
        signed = releases.read(release, model=model_name, store=here.store, keys=here.keys)
        before = releases.transformer(signed, feature_repository, image=images()["transformer"])
        size = slots.Capacity(min_replicas, max_replicas)
        way = route.to(cluster, model_name, host=host, gateway=gateway)
        how = Launch(way, size, observations, timeout_s, backend).of(signed, before)
        put, said = launch(cluster, signed.location, how, tell=here.record)
        return (put.slot, here.writes(put.release), said.to_dict(), str(here.record(said).decision))
