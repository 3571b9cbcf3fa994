"""Write a new project: every template, with the words that differ filled in."""

import importlib.util
import keyword
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from components.foundation.errors import UserError
from components.foundation.statistics.task import Task

_HERE = pathlib.Path(__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9]{1,39}")
_SOURCES = {
    "objects": '{kind: objects, source: "s3://falaj-raw/landing/@project@/*.csv", format: csv}',
    "sql": "{kind: sql, table: readings, key: seq}",
    "rest": "{kind: rest, path: /readings, pagination: page, items: items, cursor: seq}",
}
SOURCES = tuple(_SOURCES)
_BRING = {
    "objects": "falaj put @project@/sample s3://falaj-raw/landing/@project@",
    "sql": "# the sample is a SQLite database: @project@/sample/sample.db",
    "rest": "# the sample is a service, http://127.0.0.1:8711/readings, until `kill %1`",
}
_SET = {
    "objects": "",
    "sql": " --set sql_connection=sqlite:///@project@/sample/sample.db",
    "rest": " --set rest_url=http://127.0.0.1:8711",
}
_WRITE = {
    "objects": "write_csv(first)",
    "sql": "write_sql(first)",
    "rest": "serve_rest(first, options.port)",
}
_PORT = """
    parser.add_argument("--port", type=int, default=8711, help="where the service listens")"""
_TEXT = "\n    text: true"
_LABEL = {
    Task.REGRESSION: "CAST(kwh AS DOUBLE)",
    Task.CLASSIFICATION: "CAST(CAST(kwh AS DOUBLE) > 500 AS BIGINT)",
}


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What `falaj new` is asked for."""

    name: str
    task: Task = Task.CLASSIFICATION
    source: str = "objects"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or keyword.iskeyword(self.name):
            raise UserError(
                f"project {self.name!r}: is no name; expected 2 to 40 lower-case letters and "
                "digits, a letter first: it names a Python package and Kubernetes objects",
                code="project-name",
            )
        if importlib.util.find_spec(self.name) is not None:
            raise UserError(
                f"project {self.name!r}: Python has a module of that name already; its import "
                "would hide one of the two: choose another",
                code="project-name",
            )

    @property
    def words(self) -> Mapping[str, str]:
        """What stands in the templates between at signs; a word may hold another."""
        return {
            "source": _SOURCES[self.source],
            "bring": _BRING[self.source],
            "set": _SET[self.source],
            "task": str(self.task),
            "label": _LABEL[self.task],
            "text": _TEXT if self.source == "objects" else "",  # CSV knows nothing else
            "textday": "" if self.source == "sql" else _TEXT,  # and JSON knows no dates
            "write": _WRITE[self.source],
            "port": _PORT if self.source == "rest" else "",
            "background": " --port 8711 &" if self.source == "rest" else "",
            "model": self.name,
            "project": self.name,
        }


def write(skeleton: Skeleton, parent: pathlib.Path) -> list[pathlib.Path]:
    """Make the folder of a project; return its files.

    Raises:
        UserError: the folder is there already.
    """
    folder = parent / skeleton.name
    if folder.exists():
        raise UserError(
            f"{folder}: is there already; choose another name, or move it away",
            code="project-exists",
        )
    return [
        _write_one(path, folder, skeleton)
        for path in sorted(_HERE.rglob("*.tmpl"))
        if _belongs(path.name, skeleton.task)
    ]


def _belongs(name: str, task: Task) -> bool:
    return all(f".{other}." not in name for other in Task if other is not task)


def _write_one(template: pathlib.Path, folder: pathlib.Path, skeleton: Skeleton) -> pathlib.Path:
    inside = str(template.relative_to(_HERE)).removesuffix(".tmpl")
    path = folder / inside.replace(f".{skeleton.task}.", ".")
    text = template.read_text()
    for name, word in skeleton.words.items():
        text = text.replace(f"@{name}@", word)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
