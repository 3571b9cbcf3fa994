"""Seal a model into a signed, encrypted release.

Reads: the model, its profile and its evaluation.
Writes: s3://falaj-models/MODEL/VERSION, once; an audit entry of kind release.
Needs: the object store (AWS_*); FALAJ_KEYS with a signing key.
Fails when: a part or a fact is missing or no JSON, or the ring cannot sign (2); the version
exists and is not ours (3); the store did not answer (75).
"""

from kfp import dsl

from components.face import component


@component("release")
def seal(
    model: dsl.Input[dsl.Model],
    profile: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
    contract: str,
    model_name: str,
    feature_service: str = "",
    feature_registry: str = "",
    facts: dict = {},  # noqa: B006 - kfp wants a literal default, and never changes it
) -> str:
    """Seal a model with its profile, metrics and contract; the same input seals once.

    Args:
        model: folder with signature.json, model.json and one program: model.onnx from export_onnx,
            or what a trainer wrote.
        profile: JSON profile of what the model saw and scored.
        evaluation: JSON of the evaluation; sealed as metrics.json.
        contract: the YAML text of the contract that its data were judged by.
        model_name: name of the model, fit for Kubernetes, e.g. delays.
        feature_service: what it was trained with, e.g. lateness; a transformer is held to it.
        feature_registry: its definitions, s3://bucket/key#sha256:..., from apply_features.
        facts: what the signed statement binds besides the files, plain JSON without times:
            `training`, the tables with their versions. Images and code are known here.

    Returns:
        The release, sealed+s3://falaj-models/MODEL/VERSION.
    """
    from components.face import images
    from components.foundation import trained_with
    from components.foundation.sealing import release as releases
    from components.release.seal.bundle import Bundle
    from components.release.seal.facts import complete, source
    from components.step import step

    with step("seal") as here:
        bundle = Bundle.of(model.path, profile.path, evaluation.path, contract)
        features = trained_with.said(feature_service, feature_registry)
        bound = complete({"images": images(), "code": source(), **facts, **features})
        with bundle.laid_out() as folder:
            release = releases.seal(
                folder, model=model_name, facts=bound, store=here.store, keys=here.keys
            )
        here.audit("release", release.uri, release.to_dict())
        print(f"sealed {release.uri}")
        return here.writes(release.uri)
