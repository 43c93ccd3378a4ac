"""How is the module behind `reset` and `drop` made? Assembled from `reset_module.wat` into the package's data."""

from __future__ import annotations

from pathlib import Path

from wasmtime import wat2wasm

SOURCE = Path(__file__).with_name("reset_module.wat")
TARGET = Path(__file__).parents[1] / "operator" / "northgate" / "features" / "reset_module.wasm"


def assembled() -> bytes:
    """The module's bytes, as the source says now."""
    return bytes(wat2wasm(SOURCE.read_text()))


if __name__ == "__main__":
    print(TARGET.write_bytes(assembled()), "bytes in", TARGET.name)
