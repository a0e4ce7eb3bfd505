"""Weights in files: one safetensors file each, with its note inside and a sum over every byte.

A file is written beside its place and moved there whole, so there is never half a file. Nothing is
unpickled: safetensors holds plain numbers, and the note is JSON.
"""

import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

NO_SUM = "0" * 64  # stands in the file where its SHA-256 will stand, while that is computed


def save(path, tensors: dict[str, torch.Tensor], note: dict) -> None:
    """Write `tensors` and `note` (anything JSON can hold) to `path`, with the versions that a run
    depends on and a SHA-256. What cannot be written raises before a file is touched."""
    from safetensors.torch import save as to_bytes

    names = ("torch", "numpy", "transformer-lens", "safetensors")
    versions = {"python": platform.python_version(), **{n: version(n) for n in names}}
    text = json.dumps(note | {"versions": versions, "sha256": NO_SUM}, sort_keys=True)
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_whole(path, sealed(to_bytes(plain, metadata={"note": text})))


def sealed(blob: bytes) -> bytes:
    """`blob`, which holds `NO_SUM` once, with the SHA-256 over all of it in that place."""
    assert blob.count(NO_SUM.encode()) == 1, "the note itself holds the place of the sum"
    return blob.replace(NO_SUM.encode(), hashlib.sha256(blob).hexdigest().encode())


def check_seal(blob: bytes, expected: str) -> None:
    """ValueError unless `blob` is what `sealed` made, and holds `expected` as its SHA-256."""
    whole = hashlib.sha256(blob.replace(expected.encode(), NO_SUM.encode(), 1)).hexdigest()
    if len(expected) != len(NO_SUM) or whole != expected:
        raise ValueError(f"its SHA-256 is {whole}, its note expects {expected}")


def write_whole(path, blob: bytes) -> None:
    """Write `blob` to `path`, all of it or nothing; the folder is made if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(blob)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path) -> tuple[dict[str, torch.Tensor], dict]:
    """(tensors, note) of a file written by `save`. FileNotFoundError when it is missing, ValueError
    when a byte is not the one that was written; both name the file."""
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
