"""research.census: what is measured is what `helpers.interventions` does, input by input."""

import pytest
import torch

from helpers import evaluation, interventions, task
from helpers.model import attention_writes, load_zoo
from research import census, survey

FULL = task.N_SEQUENCES


def counts(model):
    return (evaluation.by_position(model)[0] * FULL).round().long()


def test_the_quick_measurements_of_a_model_are_its_row_of_the_survey():
    models = survey.load_models()
    row = survey.row(survey.load_survey(), 500)
    for name, value in census.measure(models[468], everything=False).items():
        assert torch.allclose(value.double(), row[name].double(), atol=1e-3), name


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 11])
def test_measurements_are_those_of_the_interventions(seed):
    zoo = load_zoo("article")[seed]
    found = census.measure(zoo)
    line, share = interventions.one_direction(zoo)
    mean_of = {place: interventions.mean_of(zoo, place) for place in zoo.places}
    edits = {
        "right": {},
        "attn_mean": {"attn_out": mean_of["attn_out"]},
        "attn_zero": {"attn_out": torch.zeros(4)},
        "W_O_zero": {"z": torch.zeros(4)},
        "W_out_zero": {"post": torch.zeros(16)},
        "mlp_zero": {"mlp_out": torch.zeros(4)},
        "mlp_mean": {"mlp_out": mean_of["mlp_out"]},
        "ideal": {"pattern": interventions.ideal_pattern()},
        "frozen": {"pattern": mean_of["pattern"]},
        "line": {"attn_out": line},
        "line_mean": {"attn_out": line, "mlp_out": mean_of["mlp_out"]},
    }
    for name, edit in edits.items():
        assert torch.equal(found[name], counts(zoo.edited(edit))), name
    for name, part in {"attn_resample": "attention", "mlp_resample": "mlp"}.items():
        assert torch.equal(found[name], counts(interventions.ablate(zoo, part, "resample")))
    assert found["share"] == pytest.approx(share.item())
    assert (found["table_no_own"] == FULL).all() and (found["table"] == FULL).all()


def test_sixteen_inputs_show_every_pair_of_own_token_and_source_once():
    for output in range(8):
        own, source = census.OWN[output, census.FEW], census.SOURCE[output, census.FEW]
        assert len(set(zip(own.tolist(), source.tolist()))) == (4 if output == 0 else 16)


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_four_vectors_are_found_where_there_are_some():
    v = random(1, 4, 4)
    table = random(8, 1, 4) + random(8, 1, 1) * (v - v.mean(1, keepdim=True))
    assert torch.allclose(census.four_vectors(table), table)


def test_look_or_default_is_exact_where_the_rest_is_one_vector():
    made = census.Opened(load_zoo("article")[0])
    bias = made.zoo.weights["blocks.0.attn.o.bias"][0]
    value = attention_writes(made.zoo.weights)[0, census.KEYS, :4]
    w = census.means(made.weight[..., None], census.SOURCE)
    table = bias + w * value + (1 - w) * random(8, 1, 4)
    for written, fits in ((table, True), (table + random(8, 4, 4), False)):
        made.attn = census.by_token(written, census.SOURCE)
        assert torch.allclose(census.look_or_default(made), written) == fits


def test_the_pause_is_where_the_curve_reaches_one_half():
    curve = torch.linspace(0, 1, 101).double()[:, None].repeat(1, 8)
    at, window = census.pause_of(curve), census.WINDOW
    assert curve[at - window : at].mean() >= 0.5 > curve[at - window - 1 : at - 1].mean()
    assert census.pause_of(curve * 0.4) == -1


def test_pairs_and_halves_are_numbered_alike():
    for number, (one, other) in enumerate(census.PAIRS):
        places = torch.zeros(4)
        places[list(one)], places[list(other)] = torch.tensor([-2.0, -1.0]), torch.tensor([1.0, 2])
        assert census.halves(places) == census.halves(-places) == number
        assert census._pairs([7 if token in one else 9 for token in range(4)]) == number
    for labels in ([1, 1, 1, 1], [1, 1, 2, 3], [0, 1, 2, 3]):
        assert census._pairs(labels) == -1
