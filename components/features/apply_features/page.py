"""The registered features, for a person."""

import pathlib
from html import escape

from components.features.apply_features.apply import Applied
from components.foundation.page import page, table


def write(path: str, applied: Applied, *, project: str) -> None:
    """Write a page that lists the views of a registry."""
    rows = [
        (v.name, ", ".join(v.keys), ", ".join(v.features), v.ttl, v.source, v.description)
        for v in applied.views
    ]
    headers = ("view", "keys", "features", "holds", "source", "what it is")
    body = f"<p><code>{escape(str(applied.registry))}</code></p>" + table(headers, rows)
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(f"Features of {project}", body))
