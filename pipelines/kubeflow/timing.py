"""When a schedule starts runs, as people write it and as KFP reads it."""

import re

from components.foundation.errors import UserError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EVERY = re.compile(r"([1-9]\d*)([smhd])")
_FIELD = re.compile(r"[0-9A-Za-z*/,\-?]+")
_NAMED = {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}


def cron(text: str) -> str:
    """Return a cron line of five fields as KFP's six: it reads seconds first.

    Given five, KFP takes the first for seconds and lets the last be missing, so "30 6 * * *"
    would start a run each hour. Six are taken as they are.

    Raises:
        UserError: it is no cron line.
    """
    fields = text.split()
    if text.strip() in _NAMED:
        return text.strip()
    if len(fields) not in (5, 6) or not all(map(_FIELD.fullmatch, fields)):
        raise UserError(
            f"--cron {text!r}: expected five fields such as '30 6 * * 1-5' (minute, hour, day, "
            "month, weekday), or six with seconds first",
            code="schedule-malformed",
        )
    return " ".join(["0", *fields] if len(fields) == 5 else fields)


def every(text: str) -> int:
    """Return the seconds of an interval such as 30m, 6h or 1d."""
    found = _EVERY.fullmatch(text.strip())
    if not found:
        raise UserError(
            f"--every {text!r}: expected a number and a unit, such as 30m, 6h or 1d",
            code="schedule-malformed",
        )
    return int(found[1]) * _UNITS[found[2]]


def told(cron: str, every: int) -> str:
    """Say when runs start, as the command line takes it."""
    if cron:
        return cron
    unit = max((one for one in _UNITS if every % _UNITS[one] == 0), key=_UNITS.__getitem__)
    return f"every {every // _UNITS[unit]}{unit}"
