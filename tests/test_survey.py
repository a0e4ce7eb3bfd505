"""The census of models and its table: what is measured is so, what is stored can be repeated."""

import hashlib
import random
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from samples import random_zoo

from conftest import ROOT
from helpers import census as C
from helpers import interventions as I
from helpers import survey as S
from helpers import task as T
from helpers.evaluation import by_position, hits, n_right
from helpers.model import WEIGHTS, attention_writes, load_trained, load_zoo
from helpers.training import sweep, train
from tools import survey as tool

FULL = T.N_SEQUENCES


def counts(model):
    return (by_position(model)[0] * FULL).round().long()


@pytest.fixture(scope="module")
def opened():
    return C.Opened(load_trained())


# ---------------------------------------------------------------- what is measured


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 11])
def test_measurements_are_those_of_the_interventions(seed):
    zoo = load_zoo("article").where(torch.arange(32) == seed)
    found = C.measure(zoo)
    line, share = I.one_direction(zoo)
    edits = {
        "right": {},
        "attn_mean": {"attn_out": I.mean_of(zoo, "attn_out")},
        "attn_zero": {"attn_out": torch.zeros(1, 1, 1, 4)},
        "W_O_zero": {"z": torch.zeros(1, 1, 1, 4)},
        "W_out_zero": {"post": torch.zeros(1, 1, 1, 16)},
        "mlp_zero": {"mlp_out": torch.zeros(1, 1, 1, 4)},
        "mlp_mean": {"mlp_out": I.mean_of(zoo, "mlp_out")},
        "ideal": {"pattern": I.ideal_pattern()},
        "frozen": {"pattern": I.mean_of(zoo, "pattern")},
        "line": {"attn_out": line},
        "line_mean": {"attn_out": line, "mlp_out": I.mean_of(zoo, "mlp_out")},
    }
    for name, edit in edits.items():
        assert torch.equal(found[name], counts(zoo.edited(edit))), name
    for name, part in {"attn_resample": "attention", "mlp_resample": "mlp"}.items():
        assert torch.equal(found[name], counts(I.ablate(zoo, part, "resample")))
    assert found["share"] == pytest.approx(share.item())
    assert (found["mlp_best"] >= found["mlp_mean"]).all()
    assert (found["table_no_own"] == FULL).all() and (found["table"] == FULL).all()


def test_parts_that_are_replaced_are_replaced(opened):
    assert torch.equal(opened.right(), torch.full((8,), FULL))
    nothing = torch.zeros_like(opened.attn)
    assert opened.right(nothing).sum() < 2 * FULL + 100
    assert not torch.equal(opened.right(mlp=nothing), opened.right())
    assert opened.right(stream=nothing).sum() < 8 * FULL


def test_weight_away_from_the_source_is_the_rest_of_the_pattern(opened):
    zoo, few = opened.zoo, C.SEQUENCES[C.FEW]
    pattern = I.record(zoo, "pattern", few)[0]
    i, k = 3, C.KEYS[3]
    assert torch.allclose(opened.weight[i, C.FEW], pattern[:, i, k])
    pattern[:, i, k] = 0
    pattern /= pattern.sum(-1, keepdim=True)
    wanted = I.record(zoo.edited({"pattern": pattern[None]}), "attn_out", few)[0, :, i]
    assert torch.allclose(opened.away[i][:, C.FEW].T, wanted)


def test_sixteen_inputs_show_every_pair_of_own_token_and_source_once():
    for output in range(8):
        pairs = set(zip(C.OWN[output, C.FEW].tolist(), C.SOURCE[output, C.FEW].tolist()))
        assert len(pairs) == (4 if output == 0 else 16)


def test_tables_by_token_and_their_means():
    table = torch.randn(8, 3, 4, dtype=torch.float64)
    assert torch.allclose(C.means(C.by_token(table, C.SOURCE), C.SOURCE), table)


def test_four_vectors_are_found_where_there_are_some():
    v, g = torch.randn(1, 4, 4).double(), torch.randn(8, 1, 1).double()
    v = v - v.mean(-1, keepdim=True)
    table = torch.randn(8, 4, 1).double() + g * v
    table[0] = torch.randn(4, 4)
    assert torch.allclose(C.four_vectors(table), table)
    noisy = table + torch.randn(8, 4, 4)
    assert not torch.allclose(C.four_vectors(noisy), noisy)


def test_look_or_default_is_exact_where_the_rest_is_one_vector():
    made = C.Opened(load_trained())
    bias = made.zoo.weights["blocks.0.attn.o.bias"][0][:, None]
    value = attention_writes(made.zoo.weights)[0, C.KEYS, :4].mT
    w = C.means(made.weight[:, None], C.SOURCE)
    table = bias + w * value + (1 - w) * torch.randn(8, 4, 1)
    made.attn = C.by_token(table, C.SOURCE)
    assert torch.allclose(C.look_or_default(made), table)
    noisy = table + torch.randn(8, 4, 4)
    made.attn = C.by_token(noisy, C.SOURCE)
    assert not torch.allclose(C.look_or_default(made), noisy)


def test_the_best_constant_is_found_and_is_not_found_where_none_can_be():
    exact = C.Opened(load_trained())
    assert torch.equal(C.best_constant(exact)[1], torch.full((8,), FULL))
    mute = C.Opened(load_trained())
    mute.attn = torch.zeros_like(mute.attn)  # y1 to y7 cannot know their sources
    assert C.best_constant(mute)[1][1:].max() <= FULL // 4


def test_an_untrained_model_without_mlp_is_measured_too():
    found = C.measure(random_zoo("no_mlp", [0]))
    assert "mlp_mean" not in found and found["right"].max() < FULL


@pytest.mark.parametrize("wrong", ["two", "edited", "pairs"])
def test_only_one_plain_model_is_opened(wrong):
    zoo = random_zoo("sum_pairs" if wrong == "pairs" else "article", [0, 1])
    one = zoo.where([True, False])
    given = {"two": zoo, "edited": one.edited({"z": torch.zeros(4)}), "pairs": one}[wrong]
    with pytest.raises(ValueError, match="allowed is one model"):
        C.Opened(given)


# ---------------------------------------------------------------- what the curve tells


def test_the_pause_is_where_the_curve_reaches_one_half():
    curve = torch.linspace(0, 1, 101).double()[:, None].repeat(1, 8)
    at = C.pause_of(curve)
    assert curve[at - C.WINDOW : at].mean() >= 0.5 > curve[at - C.WINDOW - 1 : at - 1].mean()
    assert C.pause_of(curve * 0.4) == -1


def test_pairs_and_halves_are_numbered_alike():
    for number, (one, other) in enumerate(C.PAIRS):
        places = torch.zeros(4)
        places[list(one)], places[list(other)] = torch.tensor([-2.0, -1.0]), torch.tensor([1.0, 2])
        assert C.halves(places) == C.halves(-places) == number
        labels = [7 if t in one else 9 for t in range(4)]
        assert C._pairs(labels) == number
    assert C._pairs([1, 1, 1, 1]) == C._pairs([1, 1, 2, 3]) == C._pairs([0, 1, 2, 3]) == -1


@pytest.mark.slow
def test_seed_0_knows_at_its_pause_the_halves_of_its_line(opened):
    _, history = train("article", [0], max_steps=300)
    pause = C.pause_of(history["accuracy"][:, 0])
    pairs = C.pairs_said(train("article", [0], max_steps=pause)[0])
    halves = C.halves(C.measure(opened.zoo)["places"])
    assert torch.equal(pairs[1:], halves[1:])


# ---------------------------------------------------------------- the table


def test_the_table_is_the_surveys():
    for kind in S.kinds():
        survey = S.load_survey(kind)
        assert survey.seeds == list(range(32, 32 + len(survey)))
        assert ((survey["right"] >= 0) & (survey["right"] <= FULL)).all()
    article = S.load_survey()
    assert len(article) == 1024
    for name in S.COLUMNS:
        some = article.where(article.has(name))
        assert len(some) >= 900, name
    models = S.load_models()
    some = models.where(torch.arange(1024) % 64 == 0)
    exact = article.right("right").all(1)[torch.arange(1024) % 64 == 0]
    assert torch.equal(n_right(some) == FULL, exact)


@pytest.mark.slow
def test_each_row_is_of_its_own_model():
    """Counted again for every model: what sixteen inputs decide exactly, and a sample of the rest.

    No two models of the article have the same of all of it, so no two rows can be exchanged.
    """
    article, models = S.load_survey(), S.load_models()
    few, each = C.SEQUENCES[C.FEW], FULL // len(C.FEW)
    columns = {"attn_zero": {"attn_out": torch.zeros(4)}, "W_O_zero": {"z": torch.zeros(4)}}
    for name, edits in columns.items():
        right = hits(models.edited(edits)(few), few).sum(1) * each
        assert torch.equal(right, article[name].long()), name
    some = C.SEQUENCES[torch.randperm(FULL, generator=torch.Generator().manual_seed(0))[:256]]
    found = hits(models(some), some).double().mean(1)
    told = article["right"].double() / FULL
    assert (found[told == 1] == 1).all() and (found - told).abs().max() < 0.1
    pattern = torch.cat([
        I.record(models.where(torch.arange(1024) // 64 == part), "pattern", some)
        for part in range(16)
    ])  # fmt: skip
    weight = pattern[:, :, range(8), C.KEYS].mean(1)
    assert (weight - article["weight"]).abs().max() < 0.1
    whole = torch.cat([article[c].double() for c in [*columns, "right", "weight"]], 1)
    assert len(whole.unique(dim=0)) == 1024


@pytest.mark.slow
def test_columns_are_of_the_intervention_that_their_name_says():
    """Counted for one model by `helpers.interventions`; another model each time."""
    article, models = S.load_survey(), S.load_models()
    exact = article.right("right").all(1).nonzero().flatten().tolist()
    i = random.Random(seed := int(time.time())).choice(exact)
    row, one = article.row(article.seeds[i]), models.where(torch.arange(1024) == i)
    found = C.measure(one, everything=False) | {"line": counts(one.edited(
        {"attn_out": I.one_direction(one)[0]}
    ))}  # fmt: skip
    for short, part in {"attn": "attention", "mlp": "mlp"}.items():
        for how in I.HOW:
            found[f"{short}_{how}"] = counts(I.ablate(one, part, how, effect=False))
    for name, value in found.items():
        near = torch.allclose(value.double(), row[name].double(), atol=1e-3)
        assert near, f"random.Random({seed}), seed {article.seeds[i]}: {name}"


def test_a_row_and_a_column_that_are_not_there_are_refused():
    survey = S.load_survey()
    with pytest.raises(KeyError, match="seed 31 is not in the survey .* holds 32 to 1055"):
        survey.row(31)
    with pytest.raises(KeyError, match="no column 'wrong'; there are kind, seed"):
        survey["wrong"]
    with pytest.raises(ValueError, match="unknown model 'nothing'"):
        S.load_survey("nothing")


def test_what_was_not_measured_is_not_made_up(tmp_path):
    rows = [dict(kind="article", seed=s, order=s, right=torch.full((8,), s)) for s in (1, 2)]
    rows[0] |= dict(share=torch.tensor(0.5), away=torch.arange(32.0).view(8, 4))
    whole = {name: rows[0].get(name, torch.tensor(1)) for name in S.COLUMNS}
    S.write_table(tmp_path / "t.parquet", [whole | rows[0], rows[1]], {})
    survey = S.load_survey(path=tmp_path / "t.parquet")
    assert survey["right"].tolist() == [[1] * 8, [2] * 8]
    assert survey.has("away").tolist() == [True, False]
    assert torch.equal(survey.where([True, False])["away"][0], torch.arange(32).view(8, 4))
    with pytest.raises(ValueError, match="away was not measured for 1 of these 2"):
        survey["away"]


def test_a_table_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the survey's table"):
        S.load_survey(path=tmp_path / "none.parquet")
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(S.TABLE.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not the survey's table.*cut short or altered"):
        S.load_survey(path=cut)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), other)
    with pytest.raises(ValueError, match="it has the columns a"):
        S.load_survey(path=other)


def test_a_table_that_does_not_fit_its_weights_is_refused(tmp_path):
    table = pq.read_table(S.TABLE)
    S.write_sealed(tmp_path / "t.parquet", table, {"weights": "f" * 64})
    with pytest.raises(ValueError, match="measured on other weights"):
        S.load_models(table=tmp_path / "t.parquet")


def test_expectations_are_of_before_and_whole():
    import tomllib

    text = (WEIGHTS / "survey_predictions.toml").read_text(encoding="utf-8")
    # The one file that never changes: else nobody knows what was written before the result.
    assert hashlib.sha256(text.encode()).hexdigest().startswith("a7a22b5c5c2e2aac5b26422d")
    entries = tomllib.loads(text)["prediction"]
    assert len({e["id"] for e in entries}) == len(entries) == 25
    assert all(0 <= e["low"] <= e["high"] <= 1 for e in entries)
    source = (ROOT / "notebooks" / "beyond" / "seeds.py").read_text(encoding="utf-8")
    assert all(f'"{e["id"]}"' in source for e in entries), "one is not set beside its result"


# ---------------------------------------------------------------- made again


@pytest.mark.slow
def test_eight_rows_are_found_again():
    seed = int(time.time())
    print(f"rows chosen by random.Random({seed})")
    choose = random.Random(seed)
    others = [kind for kind in S.kinds() if "pairs" not in kind]
    for kind, n in [("article", 5), *((choose.choice(others), 1) for _ in range(3))]:
        survey = S.load_survey(kind)
        rows = [survey.row(s) for s in choose.sample(survey.seeds, n)]
        zoo, history = train(kind, [int(row["seed"]) for row in rows])
        for i, row in enumerate(rows):
            one = zoo.where(torch.arange(n) == i)
            assert history["steps"][i] == row["steps"], (seed, kind, row["seed"])
            again = C.measure(one, everything="share" in row) if "ideal" in row else {}
            if "pairs" in row:
                assert C.pause_of(history["accuracy"][:, i]) == row["pause"]
            for name, value in (again or {"right": counts(one)}).items():
                close = torch.allclose(value.double(), row[name].double(), atol=1e-3)
                assert close, (seed, kind, row["seed"], name)


@pytest.mark.slow
def test_the_tool_goes_on_where_it_was_stopped_and_writes_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "N_SEEDS", dict.fromkeys(tool.N_SEEDS, 2))
    monkeypatch.setattr(tool, "SHARD", 2)
    monkeypatch.setattr(tool, "KINDS", ["article", "no_mlp"])
    monkeypatch.setattr(tool, "STARTS", [2000])
    monkeypatch.setattr(tool, "ORDERS", [3000, 3001])
    tool.train_all(tmp_path, tool.KINDS, 1, "cpu")
    shards = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")}
    tool.train_all(tmp_path, tool.KINDS, 1, "cpu")
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")} == shards
    for kind in tool.KINDS:
        tool.measure_one(tmp_path, kind, [32, 33], [32, 33], 0)  # one of each kind
    (tmp_path / "into").mkdir()
    tool.write(tmp_path, tmp_path / "into")
    stored, made = S.load_survey(), S.load_survey(path=tmp_path / "into" / S.TABLE.name)
    assert made.seeds == [32, 33] and made.has("ideal").tolist() == [True, False]
    for name, value in made.row(32).items():
        assert torch.allclose(value, stored.row(32)[name]), name
    crossed = S.load_survey(path=tmp_path / "into" / S.TABLE.name, crossed=True)
    assert crossed["order"].tolist() == [3000, 3001] and crossed.seeds == [2000, 2000]


@pytest.mark.slow
def test_a_shard_of_another_recipe_is_refused(tmp_path):
    sweep("article", [0], max_steps=2, n_jobs=1, folder=tmp_path)
    sweep("article", [0], max_steps=3, n_jobs=1, folder=tmp_path)
    one, other = sorted(tmp_path.glob("*.safetensors"))
    one.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="holds another shard: its max_steps is"):
        for steps in (2, 3):
            sweep("article", [0], max_steps=steps, n_jobs=1, folder=tmp_path)
