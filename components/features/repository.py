"""A Feast repository: a package of definitions beside a feature_store.yaml."""

import contextlib
import importlib
import importlib.resources
import pathlib
import pkgutil
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from components.features.registry_store.reference import RegistryRef
from components.foundation.errors import UserError
from components.foundation.storage import Address
from components.foundation.tables import TableRef

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView


@dataclass(frozen=True)
class Repository:
    """A repository as its package and its filled-in configuration."""

    package: str
    config: Mapping[str, Any]

    @classmethod
    def load(
        cls, package: str, environment: Mapping[str, str], *, cache: pathlib.Path
    ) -> "Repository":
        """Read a package's feature_store.yaml and fill it from the environment.

        FALAJ_CACHE and FALAJ_ONLINE_STORE have defaults: the step's cache, and a file
        there that a laptop may keep and a pod will lose.

        Raises:
            UserError: no such package, no such file, or a name that the environment lacks.
        """
        try:
            file = importlib.resources.files(package) / "feature_store.yaml"
            text = file.read_text()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise UserError(
                f"feature repository {package!r}: {error}; expected an importable package with "
                "a feature_store.yaml in it",
                code="feature-repository",
            ) from error
        defaults = {"FALAJ_CACHE": str(cache), "FALAJ_ONLINE_STORE": str(cache / "online.db")}
        try:
            filled = string.Template(text).substitute({**defaults, **environment})
        except KeyError as missing:
            raise UserError(
                f"{package}/feature_store.yaml: {missing} is not set; a site has to give it",
                code="environment-unset",
            ) from None
        except ValueError as error:
            raise UserError(
                f"{package}/feature_store.yaml: {error}; write $$ for a $",
                code="feature-store-yaml",
            ) from None
        return cls(package, yaml.safe_load(filled))

    @property
    def project(self) -> str:
        return str(self.config["project"])

    @property
    def registry(self) -> Address:
        return Address.parse(self.config["registry"]["path"])

    def store(
        self, tables: Sequence[TableRef] = (), *, registry: RegistryRef | None = None
    ) -> "FeatureStore":
        """Open Feast's own store, with some tables pinned.

        Raises:
            UserError: the registry no longer defines what the reference says.
        """
        quickly_import_feast()
        from feast import FeatureStore, RepoConfig

        if registry:
            check_unchanged(registry)
        address = registry.address if registry else self.registry
        pinned = {table.uri: table.version for table in tables}
        store = FeatureStore(
            config=RepoConfig(
                **{
                    **self.config,
                    "registry": {**self.config["registry"], "path": str(address)},
                    "offline_store": {**self.config["offline_store"], "versions": pinned},
                }
            )
        )
        # Materialising says so in the registry; rows of the past can be joined meanwhile, and
        # after a kill in the middle of it.
        store.registry.serve_features_while_materializing = True
        return store

    def objects(self) -> list[Any]:
        """Import every module of the package and collect what it defines, by kind and name."""
        quickly_import_feast()
        from feast import Entity, FeatureService
        from feast.base_feature_view import BaseFeatureView
        from feast.data_source import DataSource

        kinds = (Entity, DataSource, BaseFeatureView, FeatureService)
        with _without_bytecode():
            package = importlib.import_module(self.package)
            names = [m.name for m in pkgutil.iter_modules(package.__path__, f"{self.package}.")]
            values = [v for name in names for v in vars(importlib.import_module(name)).values()]
        found = {(_kind(v, kinds), v.name): v for v in values if isinstance(v, kinds)}
        if not found:
            raise UserError(
                f"feature repository {self.package!r}: its modules define no feature views; "
                "expected Entity, FeatureView and FeatureService objects at module level",
                code="feature-repository",
            )
        return [found[key] for key in sorted(found)]


def path_of(view: "FeatureView") -> str:
    """Return the URI of the table that a view reads; raises UserError if it reads none."""
    path = getattr(view.batch_source, "path", None)
    if not path:
        raise UserError(
            f"feature view {view.name}: expected source=FileSource(path='s3://bucket/table', "
            "file_format=DeltaFormat())",
            code="feature-source",
        )
    return str(path).rstrip("/")


def check_unchanged(registry: RegistryRef) -> None:
    """Raise UserError unless the registry still defines what the reference says."""
    from components.features.registry_store import object as stored

    got = stored.digest_at(registry.address)
    if got != registry.definitions:
        raise UserError(
            f"registry {registry.address}: defines {got}, this step was given "
            f"{registry.definitions}; somebody applied other definitions since, so run "
            "apply_features again",
            code="registry-moved-on",
        )


def quickly_import_feast() -> None:
    """Import Feast without what our steps never use: 4 s instead of 12 s on two cores.

    Feast imports torch whenever it is installed, for `to_tensor()` alone, and rewrites its
    own classes to check argument types while they run, which a type checker does before.
    """
    if "feast" in sys.modules:
        return
    with _absent("torch"), _unchecked():
        importlib.import_module("feast")


@contextlib.contextmanager
def _without_bytecode() -> Iterator[None]:
    """Leave no bytecode of definitions: it hides a change in its second that keeps the size."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@contextlib.contextmanager
def _absent(module: str) -> Iterator[None]:
    """Make a module that is not imported yet look as if it were not installed."""
    if module in sys.modules:
        yield
        return
    # Python's own way to say that an import must fail; typeshed knows only modules.
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


@contextlib.contextmanager
def _unchecked() -> Iterator[None]:
    """Let typeguard's decorator do nothing."""
    import typeguard

    original = typeguard.typechecked
    # A module attribute for the time of one import; typeguard has no switch but `python -O`.
    typeguard.typechecked = _same  # type: ignore[assignment]
    try:
        yield
    finally:
        typeguard.typechecked = original


def _same(target: Any) -> Any:
    return target


def _kind(value: Any, kinds: Sequence[type]) -> int:
    return next(place for place, kind in enumerate(kinds) if isinstance(value, kind))
