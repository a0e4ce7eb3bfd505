"""The zoo: what its note says of its models is so, and training finds them again."""

import pytest
import torch

from helpers import model as M
from helpers import task as T
from helpers import training as R


@pytest.mark.parametrize("kind", M.KINDS)
def test_recorded_counts_are_true_on_every_sequence(kind):
    zoo = M.load_zoo(kind)
    assert zoo.seeds == list(range(32)) and len(zoo.info["n_right"]) == 32
    counts = R.n_right(zoo, T.full_sequences(task=M.get_kind(kind).task))
    assert counts.tolist() == zoo.info["n_right"]
    assert zoo.exact.tolist() == [c == T.N_SEQUENCES for c in counts.tolist()]


@pytest.mark.parametrize("kind", M.KINDS)
def test_two_models_retrace_their_recorded_steps(kind):
    zoo = M.load_zoo(kind)
    record = torch.tensor(zoo.info["first_losses"], dtype=torch.float64)
    assert record.shape == (32, 20)
    _, history = R.train(kind, [0, 31], max_steps=20)
    assert (history["loss"].T - record[[0, 31]]).abs().max() < 1e-7


def test_the_zoos_seed_0_is_the_model_of_the_notebooks():
    zoo, one = M.load_zoo("article"), M.read_weights(M.load_trained())
    for name, value in one.items():
        assert (zoo.weights[name][0] - value).abs().max() < 1e-6


def test_one_of_the_zoo_as_a_bridge_and_a_part_of_it():
    zoo = M.load_zoo("no_mlp")
    some = T.full_sequences()[::4099]
    assert (M.logits(zoo, some)[5] - M.logits(zoo[5], some)).abs().max() < 1e-9
    failed = zoo.where(~zoo.exact)
    assert len(failed) == 32 - int(zoo.exact.sum()) > 0  # failed seeds stay in
    assert failed.seeds == [s for s, e in zip(zoo.seeds, zoo.exact) if not e]


def test_unknown_kinds_and_altered_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no_mlp_no_layernorm"):
        M.load_zoo("zebra")
    path = tmp_path / "zoo.safetensors"
    M.save(path, {"article/x": torch.zeros(1)}, {"kinds": {"article": {}}})
    with pytest.raises(ValueError, match="no models of kind 'no_mlp'; there are article"):
        M.load_zoo("no_mlp", path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="expects"):
        M.load_zoo("article", path)
