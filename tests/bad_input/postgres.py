"""A real PostgreSQL server of Debian, for as long as a test needs it."""

import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from tests import ports

PASSWORD = "of-the-reader"
BINARIES = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where the server is."""

    folder: pathlib.Path
    port: int

    @property
    def url(self) -> str:
        """Address without a password, as a user writes it."""
        return f"postgresql+psycopg://reader@127.0.0.1:{self.port}/postgres"

    def run(self, *statements: str) -> None:
        """Run statements as the server's owner, over its socket."""
        import psycopg

        owner = f"host={self.folder} port={self.port} user=owner dbname=postgres"
        with psycopg.connect(owner, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def stop(self) -> None:
        _as_nobody(self.folder, "pg_ctl", "stop", "-m", "immediate", "-D", str(self.folder / "d"))


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Run a server in a folder of its own; it refuses root, so root hands it to nobody."""
    with tempfile.TemporaryDirectory(prefix="falaj-postgres-") as name:
        server = Postgres(pathlib.Path(name), ports.free())
        if os.geteuid() == 0:
            shutil.chown(name, "nobody")
        data = str(server.folder / "d")
        _as_nobody(
            server.folder, "initdb", "-D", data, "-U", "owner", "--no-sync", "--no-locale",
            "-E", "UTF8", "--auth-local=trust", "--auth-host=scram-sha-256",
        )  # fmt: skip
        options = f"-p {server.port} -k {name} -c listen_addresses=127.0.0.1 -c fsync=off"
        _as_nobody(
            server.folder, "pg_ctl", "start", "-w", "-D", data, "-o", options, "-l", f"{name}/log"
        )
        try:
            server.run(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
            yield server
        finally:
            if (server.folder / "d/postmaster.pid").exists():
                server.stop()


def _as_nobody(folder: pathlib.Path, program: str, *arguments: str) -> None:
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    command = [str(BINARIES[-1] / program), *arguments]
    subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
