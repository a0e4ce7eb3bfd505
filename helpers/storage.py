"""Weights in files: one safetensors file each, with its note inside and a sum over every byte.

A file is written beside its place and moved there whole, so there is never half a file. Nothing is
unpickled: safetensors holds plain numbers, and the note is JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

NO_SUM = "0" * 64  # stands in the file where its SHA-256 will stand, while that is computed


def versions() -> dict[str, str]:
    """Versions of Python and the libraries that a training run depends on."""
    names = ("torch", "numpy", "transformer-lens", "safetensors")
    return {"python": platform.python_version(), **{n: version(n) for n in names}}


def save(path, tensors: dict[str, torch.Tensor], note: dict) -> None:
    """Write `tensors` and `note` (anything JSON can hold) to `path`, with versions and SHA-256.

    TypeError or ValueError for anything else, before a file is touched; OSError where the system
    cannot write there.
    """
    from safetensors.torch import save as to_bytes

    if not isinstance(tensors, dict) or not isinstance(note, dict):
        given = f"{type(tensors).__name__} and {type(note).__name__}"
        raise TypeError(f"got {given}; allowed are a dict of tensors by name, and a dict as note")
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            given = f"{type(value).__name__} under {type(name).__name__} {str(name)[:80]}"
            raise TypeError(f"got {given}; allowed are tensors by name")
    text = json.dumps(note | {"versions": versions(), "sha256": NO_SUM}, sort_keys=True)
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_whole(path, sealed(to_bytes(plain, metadata={"note": text})))


def sealed(blob: bytes) -> bytes:
    """`blob`, which holds `NO_SUM` once, with the SHA-256 over all of it in that place.

    ValueError where it holds it more or less often.
    """
    if (n := blob.count(NO_SUM.encode())) != 1:
        raise ValueError(f"{len(NO_SUM)} zeros stand in the file {n} times; allowed is once")
    return blob.replace(NO_SUM.encode(), hashlib.sha256(blob).hexdigest().encode())


def check_seal(blob: bytes, expected: str) -> None:
    """ValueError unless `blob` is what `sealed` made, and holds `expected` as its SHA-256."""
    whole = hashlib.sha256(blob.replace(expected.encode(), NO_SUM.encode(), 1)).hexdigest()
    if len(expected) != len(NO_SUM) or whole != expected:
        raise ValueError(f"its SHA-256 is {whole}, its note expects {expected}")


def write_whole(path, blob: bytes) -> None:
    """Write `blob` to `path`, in a folder made if need be: all of it, or nothing if that fails.

    TypeError for what are no bytes or no path; ValueError for a path without a name; OSError where
    the system cannot write there.
    """
    given, path = path, Path(path)
    if not path.name:
        raise ValueError(f"got the path {str(given)!r}; allowed is one that ends in a file's name")
    if not isinstance(blob, bytes):
        raise TypeError(f"got {type(blob).__name__} to write to {path}; allowed are bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(blob)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path) -> tuple[dict[str, torch.Tensor], dict]:
    """(tensors, note) of a file written by `save`, if every byte is the one that was written.

    FileNotFoundError when it is missing; ValueError when it was cut short or altered. Both name
    the file. TypeError for what is no path; OSError for one that the system does not take.
    """
    from safetensors.torch import load as from_bytes

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected a weights file")
    blob = path.read_bytes()
    try:
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
        note = json.loads(header["__metadata__"]["note"])
        check_seal(blob, note.pop("sha256"))
        return from_bytes(blob), note
    except Exception as error:  # whatever a broken file leads to is one thing to its reader
        raise ValueError(
            f"{path}: {len(blob)} bytes, not a whole weights file of this series ({error}). "
            "The file was cut short or altered: fetch it again, or train and save again."
        ) from None
