"""The zoo: what its note says of its models is so, and training finds them again."""

import pytest
import torch

from helpers import model as M
from helpers import task as T
from helpers import training as R
from helpers.evaluation import right
from helpers.storage import save
from tools import zoo as tool_zoo

ZOO = M.WEIGHTS / "zoo.safetensors"
SUMS = ["sum_pairs", "sum_pairs_no_mlp"]  # no fast way to count these


@pytest.mark.parametrize("kind", SUMS)
def test_recorded_shares_of_the_sums_are_true_on_a_sample(kind):
    zoo, n = M.load_zoo(kind), 2_000
    inputs = torch.randint(0, 4, (n, 8), generator=torch.Generator().manual_seed(0))
    found = right(zoo, T.full_sequences(inputs, zoo.task))
    for share, recorded in (
        (found.all(-1).double().mean(1), torch.tensor(zoo.info["n_right"]) / T.N_SEQUENCES),
        (found.double().mean(1), torch.tensor(zoo.info["by_position"])),
    ):
        assert (share - recorded).abs().max() < 5 * (0.25 / n) ** 0.5  # five standard errors
        assert (share[recorded == 1] == 1).all()


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in SUMS]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in M.KINDS if kind not in SUMS] + SLOW)
def test_recorded_counts_are_true_on_every_input(kind):
    zoo = M.load_zoo(kind)
    assert zoo.seeds == list(range(32))
    found = right(zoo)
    assert found.all(-1).sum(1).tolist() == zoo.info["n_right"]
    assert found.double().mean(1).tolist() == zoo.info["by_position"]


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
    assert (zoo(some)[5] - zoo[5](some[:, :16])[:, 8:]).abs().max() < 1e-9
    failed = zoo.where(~zoo.exact)
    assert len(failed) == 32 - int(zoo.exact.sum()) > 0  # failed seeds stay in
    assert failed.seeds == [s for s, e in zip(zoo.seeds, zoo.exact.tolist()) if not e]
    assert failed.info["n_right"] == [c for c in zoo.info["n_right"] if c < T.N_SEQUENCES]
    assert torch.equal(failed(some), zoo(some)[~zoo.exact])


def test_unknown_kinds_and_altered_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no_mlp_no_layernorm"):
        M.load_zoo("zebra")
    path = tmp_path / "zoo.safetensors"
    with pytest.raises(FileNotFoundError, match="zoo.safetensors is missing"):
        M.load_zoo("article", path)
    save(path, {"article/x": torch.zeros(1)}, {"kinds": {"article": {}}})
    with pytest.raises(ValueError, match="no models of kind 'no_mlp'; there are article"):
        M.load_zoo("no_mlp", path)
    with pytest.raises(ValueError, match="zoo.safetensors: .* not of the 0 seeds in its note"):
        M.load_zoo("article", path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut short or altered"):
        M.load_zoo("article", path)


def test_the_tool_trains_the_zoo_that_is_stored(tmp_path):
    tool_zoo.make_zoo(tmp_path / "zoo.safetensors", ["no_mlp"], range(2), max_steps=20)
    made, stored = (M.load_zoo("no_mlp", path) for path in (tmp_path / "zoo.safetensors", ZOO))
    assert made.info.keys() == stored.info.keys() and made.info["steps"] == [20, 20]
    first = torch.tensor(stored.info["first_losses"][:2])
    assert (torch.tensor(made.info["first_losses"]) - first).abs().max() < 1e-9
