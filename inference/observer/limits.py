"""What an observer may take, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one process's observer.

    Attributes:
        held_bytes: of predictions in memory, with the arrays that they hold on to.
        spool_bytes: of parts that wait on disk, of all processes with one destination; less than
            a volume's limit by a MiB a process, since a pod that passes that is evicted. Where
            there is no disk, `held_bytes` bounds them as well.
        part_bytes: after which a part is sealed.
        part_seconds: after which it is, if nothing else waits to be sent.
        retry_seconds: pause after the first failure; it doubles,
        longest_retry_seconds: up to this.
        adopt_seconds: between two looks for what dead processes left.
        close_seconds: for the end.
        recent_ids: within which an id that comes again is the same observation.
    """

    held_bytes: int = 32 << 20
    spool_bytes: int = 128 << 20
    part_bytes: int = 1 << 20
    part_seconds: float = 2.0
    retry_seconds: float = 1.0
    longest_retry_seconds: float = 30.0
    adopt_seconds: float = 10.0
    close_seconds: float = 5.0
    recent_ids: int = 25_000
