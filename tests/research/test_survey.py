"""The survey's table: it is whole, its rows are of their models, and can be measured again."""

import hashlib
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import ROOT, read
from helpers import evaluation, task
from helpers.model import KINDS, Zoo
from helpers.training import train
from research import WEIGHTS, census, constants, counting, survey
from tools import survey as tool

FULL = task.N_SEQUENCES


@pytest.fixture(scope="module")
def article():
    return survey.load_survey()


@pytest.fixture(scope="module")
def models():
    return survey.load_models()


def test_the_table_has_a_row_for_each_seed_of_each_kind():
    for kind in KINDS:
        table, n = survey.load_survey(kind), 256 if "pairs" in kind else 1024
        assert table.index.tolist() == list(range(32, 32 + n))
        assert survey.values(table, "right").shape == (n, 8)
    assert len(survey.load_survey(crossed=True)) == 256


def test_every_column_was_measured_for_the_articles_models(article):
    exact = survey.right(article, "right").all(1)
    line, line_at_y1 = (survey.right(article, name) for name in ("line", "line_no_own"))
    asked = dict.fromkeys(["pause", "pairs", "dots", "mlp_constant", "cases"], exact)
    asked |= dict.fromkeys(["cases_float64", "cases_float32"], exact)
    asked |= dict.fromkeys(["story_constant", "cases_story"], exact & line.all(1))
    asked["line_constant"] = exact & line_at_y1[:, 1:].all(1)
    for name in survey.COLUMNS.keys() - {"seed"}:
        assert torch.equal(survey.has(article, name), asked.get(name, exact | True)), name
    assert survey.values(article, "away").shape == (1024, 8, 4)


def test_models_called_exact_are_exact(article, models):
    exact, some = survey.right(article, "right").all(1), torch.zeros(1024, dtype=torch.bool)
    some[exact.nonzero()[:4]] = some[(~exact).nonzero()[:4]] = True
    assert torch.equal(counting.n_right(models.where(some)) == FULL, exact[some])


@pytest.mark.nightly
def test_each_row_is_of_its_own_model(article, models):
    """Counted again for every model: what sixteen inputs decide exactly, and a sample of the rest.

    No two models of the article have the same of all of it, so no two rows can be exchanged.
    """
    few, each = census.SEQUENCES[census.FEW], FULL // len(census.FEW)
    columns = {"attn_zero": {"attn_out": torch.zeros(4)}, "W_O_zero": {"z": torch.zeros(4)}}
    for name, edits in columns.items():
        right = evaluation.hits(models.edited(edits)(few), few).sum(1) * each
        assert torch.equal(right, survey.values(article, name)), name
    some = torch.randperm(FULL, generator=torch.Generator().manual_seed(0))[:256]
    told = survey.values(article, "right").double() / FULL
    found = evaluation.by_position(models, census.SEQUENCES[some])
    assert (found[told == 1] == 1).all() and (found - told).abs().max() < 0.1
    columns = [survey.values(article, c).double() for c in [*columns, "right", "weight"]]
    assert len(torch.cat(columns, 1).unique(dim=0)) == 1024


@pytest.mark.nightly
def test_what_is_proved_in_32_bits_is_right_when_it_is_counted(article, models):
    proved = np.flatnonzero(article["cases_float32"].fillna(-1) >= 0)
    some = torch.zeros(1024, dtype=torch.bool)
    some[np.random.default_rng(0).choice(proved, 60, replace=False)] = True
    zoo = models.where(some)
    weights = {name: value.float() for name, value in zoo.weights.items()}
    assert (evaluation.n_right(Zoo("article", weights, zoo.seeds)) == FULL).all()


@pytest.mark.nightly
@pytest.mark.parametrize("kind, seeds", [("article", [57, 800]), ("no_layernorm", [400])])
def test_rows_are_found_again_by_training_and_measuring(kind, seeds):
    zoo, history = train(kind, seeds)
    for i, seed in enumerate(seeds):
        row = survey.row(survey.load_survey(kind), seed)
        found = census.measure(zoo[i], everything=kind == "article")
        found |= constants.measure(zoo[i]) if "cases" in row else {}
        found |= {name: history[name][i] for name in ("steps", "stopped")}
        if "pause" in row:
            found["pause"] = torch.tensor(census.pause_of(history["accuracy"][:, i]))
        for name, value in found.items():
            assert torch.allclose(value.double(), row[name].double(), atol=1e-3), (seed, name)


def test_a_seed_that_is_not_there_is_refused(article):
    with pytest.raises(KeyError, match="got the seed 31; this survey holds 32 to 1055"):
        survey.row(article, 31)


def test_what_was_not_measured_is_not_made_up(tmp_path):
    rows = [dict(kind="article", seed=s, order=s, right=torch.full((8,), s)) for s in (1, 2)]
    rows[0] |= dict(share=torch.tensor(0.12346), away=torch.arange(32.0).view(8, 4))
    whole = {name: rows[0].get(name, torch.tensor(1)) for name in survey.COLUMNS}
    survey.write_table(tmp_path / "t.parquet", [whole | rows[0], rows[1]], {})
    table = survey.load_survey(path=tmp_path / "t.parquet")
    assert survey.values(table, "right").tolist() == [[1] * 8, [2] * 8]
    assert survey.has(table, "away").tolist() == [True, False]
    found = survey.row(table, 1)
    assert torch.equal(found["away"], torch.arange(32).view(8, 4))
    assert found["share"] == pytest.approx(0.1235) and "share" not in survey.row(table, 2)
    with pytest.raises(RuntimeError):
        survey.values(table, "away")


def test_a_table_that_was_measured_on_other_models_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "read_table", lambda path: (pd.DataFrame(), {"weights": "f" * 64}))
    with pytest.raises(ValueError, match="measured on other weights"):
        survey.load_models()


def test_expectations_are_of_before_and_whole():
    # The files that never change: else nobody knows what was written before the result.
    files = {
        "survey": (25, "a7a22b5c5c2e2aac5b26422d"),
        "decided": (11, "2da148101de8214961d8d39d"),
        "tools": (31, "a74058443390513110e9ac4d"),
    }
    counted = "".join(read(ROOT / f"notebooks/beyond/{n}.py") for n in ("seeds", "mechanisms"))
    for name, (n, digest) in files.items():
        blob = (WEIGHTS / f"{name}_predictions.toml").read_bytes()
        assert hashlib.sha256(blob).hexdigest().startswith(digest)
        entries = tomllib.loads(blob.decode())["prediction"]
        assert len({e["id"] for e in entries}) == len(entries) == n
        assert all(0 <= e["low"] <= e["high"] <= 1 for e in entries)
        beside = (f'"{e["id"]}"' in counted for e in entries)
        assert name == "tools" or all(beside), "one is not set beside its result"


@pytest.mark.nightly
def test_the_tool_trains_measures_and_writes_a_table(tmp_path, monkeypatch, article):
    monkeypatch.setattr(tool, "N_SEEDS", dict.fromkeys(tool.N_SEEDS, 2))
    monkeypatch.setattr(tool, "SHARD", 2)
    monkeypatch.setattr(tool, "KINDS", ["article", "no_mlp"])
    monkeypatch.setattr(tool, "STARTS", [2000])
    monkeypatch.setattr(tool, "ORDERS", [3000, 3001])
    todo = [(tmp_path, kind, *shard) for kind in tool.KINDS for shard in tool.shards(kind)]
    tool.one_by_one(tool.models_of, todo, 1)
    for kind in tool.KINDS:
        tool.measure_one(tmp_path, kind, [32, 33], [32, 33], 0)  # one of each kind
    tool.write(tmp_path, tmp_path / "into")
    table = tmp_path / "into" / survey.TABLE.name
    made = survey.load_survey(path=table)
    assert made.index.tolist() == [32, 33] and survey.has(made, "ideal").tolist() == [True, False]
    stored = survey.row(article, 32)
    for name, value in survey.row(made, 32).items():
        assert torch.allclose(value, stored[name]), name
    crossed = survey.load_survey(crossed=True, path=table)
    assert survey.values(crossed, "order").tolist() == [3000, 3001]
    assert crossed.index.tolist() == [2000, 2000]
