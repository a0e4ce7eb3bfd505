"""helpers.storage: a file is written whole or not at all, and read only if no byte has changed."""

import pytest
import torch
from samples import random_weights

from helpers import storage
from helpers.storage import NO_SUM, load, save


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "deeper" / "mine.safetensors"
    save(path, random_weights(), {"kind": "article", "text": 'füß, {} "quotes"', "list": [1, None]})
    return path


def test_save_and_load_give_back_the_same_in_one_plain_file(stored):
    from safetensors import safe_open

    tensors, note = load(stored)
    weights = random_weights()
    assert tensors.keys() == weights.keys()
    assert all(torch.equal(tensors[k], weights[k]) for k in weights)
    assert note["text"] == 'füß, {} "quotes"' and note["list"] == [1, None]
    assert note["versions"].keys() >= {"python", "torch", "numpy", "transformer-lens"}
    assert [p.name for p in stored.parent.iterdir()] == [stored.name]
    with safe_open(stored, "pt") as file:
        assert set(file.keys()) == set(weights) and "note" in file.metadata()


def test_a_safetensors_file_without_our_note_is_refused(stored):
    from safetensors.torch import save_file

    for metadata in (None, {"note": "not json"}, {"note": f'{{"sha256": "{NO_SUM}"}}'}):
        save_file(random_weights(), stored, metadata=metadata)
        with pytest.raises(ValueError, match="not a whole weights file of this series"):
            load(stored)


def test_a_failed_save_leaves_the_old_file(stored, monkeypatch):
    before = stored.read_bytes()

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(storage.os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        save(stored, random_weights(seed=2), {"kind": "article"})
    assert stored.read_bytes() == before
    assert [p.name for p in stored.parent.iterdir()] == [stored.name]
