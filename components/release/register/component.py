"""Point a channel of a model at a release.

Reads: the release's signed statement; the channel.
Writes: s3://falaj-models/MODEL/channel/CHANNEL by compare-and-swap; an audit entry.
Needs: the object store (AWS_*); FALAJ_KEYS with a signing key.
Fails when: there is no such release, or it is of another model (2); it is not signed by us, or
somebody else moved the channel meanwhile (3); the store did not answer (75).
"""

from components.face import component


@component("release")
def register(
    release: str,
    model_name: str,
    channel: str = "candidate",
    reason: str = "registered by a pipeline",
) -> str:
    """Point a channel at a release; pointing it where it points changes nothing.

    Args:
        release: the release, e.g. sealed+s3://falaj-models/delays/3fa9c1d2e4b5.
        model_name: name of the model, e.g. delays.
        channel: which channel: candidate, champion, or a name of yours.
        reason: one sentence for the channel's history.

    Returns:
        The channel and its serial, e.g. s3://falaj-models/delays/channel/candidate@3.
    """
    from components.foundation.sealing import channel as channels
    from components.step import step

    with step("register") as here:
        here.uses(release)
        pointer = channels.move(
            model_name, release, store=here.store, keys=here.keys, channel=channel, reason=reason
        )
        here.audit("channel", f"{model_name}/{channel}", pointer.present())
        print(f"{model_name}/{channel} points at {pointer.uri}")
        return here.writes(str(pointer))
