"""Virtual environments for the servers and the scanner beside ours, each from a lock of its own.

    python -m tests.benchmarks.serving.environments

writes the locks anew. KServe and MLServer want different Starlettes, and modelscan an older `rich`
than ours, so they live apart.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "peers"

_SERVED = ("onnxruntime", "orjson", "httptools", "uvicorn", "uvloop")
WANTED: Mapping[str, tuple[str, ...]] = {
    "peers": ("kserve==0.21.0", "starlette", *_SERVED),
    "peers-mlserver": ("mlserver>=1.7,<1.8", *_SERVED),
    "peers-modelscan": ("modelscan>=0.8.8,<0.9",),
}
SEALING: Mapping[str, tuple[str, ...]] = {  # what `make bench-sealing` measures beside ours
    "peers-sealing": ("jwcrypto", "model-signing>=1.1", "pyopenssl", "pyrage", "tink"),
}
_COMPILE = (
    "uv", "pip", "compile", "-", "--quiet", "--python-version", "3.11", "--generate-hashes",
    "--no-emit-index-url", "--no-annotate", "--custom-compile-command",
    "python -m tests.benchmarks.serving.environments",
)  # fmt: skip
_VERSIONS = (
    "import importlib.metadata as m, json, sys; "
    "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
)


def lock_of(name: str) -> pathlib.Path:
    """Return where the lock of an environment is."""
    return ROOT / "requirements" / f"{name}.lock"


def write_locks() -> None:
    """Resolve every environment; the one with KServe within our own versions."""
    for name, wanted in {**WANTED, **SEALING}.items():
        command = [*_COMPILE, "--output-file", str(lock_of(name))]
        if name == "peers":
            command += ["--constraints", str(ROOT / "requirements.lock")]
        subprocess.run(
            command, input="\n".join(wanted), text=True, check=True, cwd=ROOT, env=_with_uv()
        )
        print(f"{lock_of(name).relative_to(ROOT)}: {', '.join(wanted)}")


def python(name: str) -> pathlib.Path:
    """Return the interpreter of an environment, made when it is not there or its lock changed."""
    folder, lock = CACHE / name, lock_of(name)
    installed = folder / "installed.lock"
    interpreter = folder / "bin" / "python"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        print(f"installing {lock.relative_to(ROOT)}", file=sys.stderr, flush=True)
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(interpreter), "--require-hashes", "-r", str(lock))
        shutil.copyfile(lock, installed)
    return interpreter


def versions(interpreter: pathlib.Path) -> dict[str, str]:
    """Return what an environment holds."""
    command = [str(interpreter), "-c", _VERSIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _uv(*arguments: str) -> None:
    command = ["uv", *arguments, "--quiet"]
    subprocess.run(command, check=True, env=_with_uv())


def _with_uv() -> dict[str, str]:
    """Let `uv` be found beside the interpreter that runs this."""
    beside = str(pathlib.Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"}


if __name__ == "__main__":
    write_locks()
