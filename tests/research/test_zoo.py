"""The zoo and the long models: what their notes say is so, and training finds them again."""

import pytest
import torch

from helpers import model
from helpers.storage import load
from helpers.training import train
from research import WEIGHTS, counting
from tools import zoo


@pytest.mark.nightly
@pytest.mark.parametrize("kind", model.KINDS)
def test_recorded_counts_are_true_on_every_input(kind):
    models = model.load_zoo(kind)
    assert models.seeds == list(range(32))
    assert counting.n_right(models).tolist() == models.info["n_right"]
    assert counting.by_position(models).tolist() == models.info["by_position"]


@pytest.mark.parametrize("kind", model.KINDS)
def test_two_models_retrace_their_recorded_steps(kind):
    record = torch.tensor(model.load_zoo(kind).info["first_losses"], dtype=torch.float64)
    assert record.shape == (32, 20)
    _, history = train(kind, [0, 31], max_steps=20)
    assert (history["loss"].T - record[[0, 31]]).abs().max() < 1e-7


def test_the_zoos_seed_0_is_the_model_of_the_notebooks():
    models, (one, _) = model.load_zoo("article"), load(model.WEIGHTS / "article.safetensors")
    for name, value in one.items():
        assert (models.weights[name][0] - value).abs().max() < 1e-6


def test_the_tool_makes_the_zoo_that_is_stored(tmp_path):
    zoo.make_zoo(tmp_path / "zoo.safetensors", ["no_mlp"], range(2), max_steps=20, n_jobs=1)
    made, stored = model.load_zoo("no_mlp", tmp_path / "zoo.safetensors"), model.load_zoo("no_mlp")
    assert made.info.keys() == stored.info.keys() and made.info["steps"] == [20, 20]
    first = torch.tensor(stored.info["first_losses"][:2])
    assert (torch.tensor(made.info["first_losses"]) - first).abs().max() < 1e-9


@pytest.mark.nightly
def test_the_tool_makes_a_long_model_of_the_kind_that_is_stored(tmp_path):
    name = "16 digits, no MLP, no norm"
    zoo.make_long(tmp_path / "long.safetensors", {name: zoo.LONG[name]})
    made, note = load(tmp_path / "long.safetensors")
    stored, _ = load(WEIGHTS / "long.safetensors")
    shapes = {k: v.shape for k, v in stored.items() if k.startswith(name)}
    assert {k: v.shape for k, v in made.items()} == shapes
    assert 0 < note["models"][name]["steps"] < 2000  # it stopped: no wrong token in 50 batches
