"""helpers.model: both ways to compute the model agree, and weights are saved and loaded safely."""

import json
import math
import warnings

import pytest
import torch

from helpers import model as M
from helpers import task as T
from helpers.training import n_right

SAMPLE = T.full_sequences()[::1031]


def random_weights(kind, seed=0):
    """Weights far from their start, so that biases and layer norms matter."""
    generator = torch.Generator().manual_seed(seed)
    noise = lambda w: 0.3 * torch.randn(w.shape, generator=generator, dtype=w.dtype)
    return {k: w + noise(w) for k, w in M.initial_weights(kind, seed).items()}


@pytest.mark.parametrize("kind", M.KINDS)
def test_forward_equals_the_library(kind):
    each = [random_weights(kind, s) for s in (0, 1)]
    stacked = {k: torch.stack([w[k] for w in each]) for k in each[0]}
    ours = M.forward(stacked, SAMPLE)
    for i, weights in enumerate(each):
        theirs = M.build(kind, weights=weights)(SAMPLE[:, :16])[:, 8:]
        assert (ours[i] - theirs).abs().max() < 1e-10


@pytest.mark.parametrize("name", M.HOOKS)
def test_an_edit_does_the_same_in_both(name):
    weights = random_weights("article")
    zoo = M.Zoo("article", {k: v[None] for k, v in weights.items()}, [0])
    edits = {name: lambda value: value.flip(-1) - 0.3}  # layer norm would undo a mere scaling
    ours = M.logits(zoo, SAMPLE, edits)[0]
    assert (ours - M.logits(zoo[0], SAMPLE, edits)).abs().max() < 1e-10
    assert (ours - M.logits(zoo, SAMPLE)[0]).abs().max() > 1e-3


def test_the_article_model_has_360_parameters_and_the_config_asked_for():
    model = M.build("article")
    assert sum(p.numel() for p in model.parameters()) == 360
    for name, value in M.CONFIG.items():
        assert getattr(model.cfg, name) == value
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_start_is_numpys_and_the_default_start_is_the_librarys():
    a, b = M.initial_weights("article", 3), M.initial_weights("article", 3)
    torch.manual_seed(0)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["embed.weight"], M.initial_weights("article", 4)["embed.weight"])

    from transformer_lens import TransformerBridge, TransformerBridgeConfig

    def spread(draw):
        values = {}
        for seed in range(60):
            for k, v in draw(seed).items():
                if v.dim() == 2:
                    values.setdefault(k, []).append(v.flatten())
        return {k: torch.cat(v).double().std().item() for k, v in values.items()}

    def library(seed):
        cfg = TransformerBridgeConfig(**M.CONFIG, seed=seed)
        return TransformerBridge.boot_native(cfg).state_dict()

    ours, theirs = spread(lambda s: M.initial_weights("article_default_init", s)), spread(library)
    for name, value in ours.items():
        assert math.isclose(value, theirs[name], rel_tol=0.12), name


def test_librarys_silent_traps_are_still_there():
    """What the notebooks warn of, in TransformerLens 4.3: when this fails, change the notes."""
    model = M.build("article", weights=random_weights("article"))
    tokens = SAMPLE[:, :16]
    clean = model(tokens)
    zero = lambda value, hook: torch.zeros_like(value)
    run = lambda name: model.run_with_hooks(tokens, fwd_hooks=[(name, zero)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(run("blocks.0.attn.hook_attn_scores"), clean)  # discarded
    # reaches the MLP, as an edit of ln2's input would, but not the stream that runs beside it
    assert torch.equal(run("blocks.0.hook_resid_mid"), run("blocks.0.ln2.hook_in"))
    for name in M.HOOKS.values():
        assert not torch.equal(run(name), clean), name
    with torch.no_grad():
        model.W_O.zero_()  # a stacked copy
        assert torch.equal(model(tokens), clean)
        model.blocks[0].attn.W_O.zero_()  # the weights themselves
        assert not torch.equal(model(tokens), clean)


def test_unknown_names_list_the_names_there_are():
    with pytest.raises(ValueError, match="no_layernorm"):
        M.build("articel")
    with pytest.raises(ValueError, match="there are article"):
        M.load_trained("articel")


def test_save_and_load_give_back_the_same(tmp_path):
    weights = random_weights("no_mlp")
    M.save(tmp_path / "mine.safetensors", weights, {"kind": "no_mlp", "seed": 0})
    model = M.load_trained("mine", folder=tmp_path)
    back = M.read_weights(model)
    assert back.keys() == weights.keys() and all(torch.equal(back[k], weights[k]) for k in back)
    note = json.loads((tmp_path / "mine.json").read_text())
    assert {"kind", "seed", "sha256", "versions"} <= note.keys()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    M.save(path, random_weights("article", 1), {"kind": "article"})
    before = path.read_bytes()

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(M.os, "replace", broken)
    with pytest.raises(OSError):
        M.save(path, random_weights("article", 2), {"kind": "article"})
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]


@pytest.fixture
def stored(tmp_path):
    M.save(tmp_path / "article.safetensors", random_weights("article"), {"kind": "article"})
    return tmp_path / "article.safetensors"


def test_missing_cut_and_altered_files_are_refused_by_name(stored):
    blob = stored.read_bytes()
    for bad in (blob[:-1], blob[:100], b"", blob[:-1] + bytes([blob[-1] ^ 1])):
        stored.write_bytes(bad)
        with pytest.raises(ValueError, match=r"article\.safetensors.*expects"):
            M.load_trained("article", folder=stored.parent)
    stored.unlink()
    with pytest.raises(FileNotFoundError, match="article.safetensors is missing"):
        M.load_trained("article", folder=stored.parent)


def test_a_missing_or_broken_note_is_refused_by_name(stored):
    note = stored.with_suffix(".json")
    good = json.loads(note.read_text())
    for text in ("", "{}", "[]", "not json"):
        note.write_text(text)
        with pytest.raises(ValueError, match="article.json"):
            M.load_trained("article", folder=stored.parent)
    note.write_text(json.dumps(good | {"kind": "no_mlp"}))
    with pytest.raises(ValueError, match=r"article\.safetensors: blocks.*not a parameter"):
        M.load_trained("article", folder=stored.parent)
    note.write_text(json.dumps(good | {"kind": "other"}))
    with pytest.raises(ValueError, match="'other'"):
        M.load_trained("article", folder=stored.parent)
    note.unlink()
    with pytest.raises(FileNotFoundError, match="article.json"):
        M.load_trained("article", folder=stored.parent)


def test_wrong_shapes_are_refused(stored):
    weights = random_weights("article")
    weights["embed.weight"] = weights["embed.weight"][:4]
    M.save(stored, weights, {"kind": "article"})
    with pytest.raises(ValueError, match=r"embed.weight has shape \(4, 4\), expected \(5, 4\)"):
        M.load_trained("article", folder=stored.parent)


def test_the_stored_model_is_exact_and_its_note_says_so():
    _, info = M.load(M.WEIGHTS / "article.safetensors")
    assert n_right(M.load_trained(), T.full_sequences()) == info["n_right"] == T.N_SEQUENCES
    assert info["seed"] == 0 and info["config"] == M.CONFIG
