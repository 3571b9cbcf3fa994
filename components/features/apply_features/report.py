"""The registered features, for a person."""

from html import escape

from components.features.apply_features.apply import Applied
from components.foundation.page import page, table


def render(applied: Applied, *, project: str) -> str:
    """List the views of a registry."""
    rows = [
        (v.name, ", ".join(v.keys), ", ".join(v.features), v.ttl, v.source, v.description)
        for v in applied.views
    ]
    headers = ("view", "keys", "features", "holds", "source", "what it is")
    body = f"<p><code>{escape(str(applied.registry))}</code></p>" + table(headers, rows)
    return page(f"Features of {project}", body)
