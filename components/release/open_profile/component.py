"""Take the reference profile out of a sealed release.

Reads: the release, or the one that the champion channel points at.
Writes: its profile.json, as it was sealed.
Needs: the object store (AWS_*); FALAJ_KEYS.
Fails when: there is no such release (2), or it is not as it was signed (3).
"""

from kfp import dsl

from components.face import component


@component("release")
def open_profile(
    model_name: str,
    profile: dsl.Output[dsl.Artifact],
    release: str = "",
) -> str:
    """Open the profile that was sealed with a model.

    Args:
        model_name: name of the model, e.g. delays.
        profile: the JSON profile, as it was sealed.
        release: the release; empty: the champion channel's.

    Returns:
        The release that was opened.
    """
    from components.foundation.sealing import channel as channels
    from components.foundation.sealing import release as releases
    from components.step import step

    with step("open_profile") as here:
        uri = channels.resolve(model_name, release, store=here.store, keys=here.keys)
        here.uses(uri)
        opened = releases.read_file(uri, "profile.json", store=here.store, keys=here.keys)
        here.publish(profile, opened, release=uri)
        return uri
