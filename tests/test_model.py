"""helpers.model: the two ways to compute a model agree, and every model goes through one door."""

import math
import warnings

import pytest
import torch
from samples import SOME, random_weights, random_zoo, sequences_of

from helpers import model as M
from helpers import task as T
from helpers.evaluation import n_right
from helpers.storage import load, save

LONG = M.Kind(length=16)


@pytest.mark.parametrize("kind", [*M.KINDS, LONG], ids=str)
def test_forward_equals_the_library(kind):
    zoo = random_zoo(kind)
    tokens, n = sequences_of(zoo), zoo.length
    ours = zoo(tokens)
    assert ours.shape == (2, 60, n, T.VOCAB)
    for i in range(2):
        theirs = zoo[i](tokens[:, : 2 * n])[:, n:]
        assert (ours[i] - theirs).abs().max() < 1e-10
    each = torch.stack([tokens, tokens.flip(0)])  # other tokens for each model
    assert torch.allclose(M.forward(zoo.weights, each)[1], ours[1].flip(0), atol=1e-12)


def library_hook(place, edit, n=T.LENGTH):
    """`edit` of the value at the outputs, as a hook of TransformerLens."""

    def hook(value, hook):
        value = value.clone()
        at_outputs = value[..., n:, :] if place == "pattern" else value[:, n:]
        new = edit(at_outputs.reshape(len(value), n, -1))  # one head: its axis is dropped
        at_outputs.copy_(new.view_as(at_outputs))
        return value

    return (M.HOOKS[place], hook)


@pytest.mark.parametrize("place", M.HOOKS)
def test_an_edit_does_the_same_in_both(place):
    def flipped(value, tokens=None):  # layer norm would undo a mere scaling
        return value.flip(-1) - 0.3

    zoo = random_zoo(seeds=[0])
    ours = zoo.edited({place: flipped})(SOME)[0]
    theirs = zoo[0].run_with_hooks(SOME[:, :16], fwd_hooks=[library_hook(place, flipped)])[:, 8:]
    assert (ours - theirs).abs().max() < 1e-10
    assert (ours - zoo(SOME)[0]).abs().max() > 1e-3


def test_a_place_is_edited_once():
    zoo = random_zoo().edited({"z": torch.zeros(4)})
    with pytest.raises(KeyError, match="z of these models is edited already"):
        zoo.edited({"z": torch.ones(4)})
    assert set(zoo.edited({"post": torch.zeros(16)}).edits) == {"z", "post"}


@pytest.mark.parametrize("kind", M.KINDS)
def test_folded_weights_give_the_same_logits(kind):
    zoo, name = random_zoo(kind), "ln_final.weight"
    tokens = sequences_of(zoo)
    new = M.folded(zoo.weights)
    assert (M.forward(new, tokens) - zoo(tokens)).abs().max() < 1e-10
    assert new["blocks.0.attn.o.weight"] is None
    assert name not in zoo.weights or (new[name] is None and zoo.weights[name] is not None)


def test_the_lens_and_what_attention_writes_are_the_models_own():
    zoo = random_zoo()
    _, cache = zoo[1].run_with_cache(SOME[:, :16])
    theirs = zoo[1](SOME[:, :16])[:, 8:]
    resid = cache["resid_post", 0][:, 8:].expand(2, -1, -1, -1)
    assert (M.unembed(resid, zoo.weights)[1] - theirs).abs().max() < 1e-10
    written = M.attention_writes(zoo.weights)
    assert written.shape == (2, 16, T.VOCAB, 4)
    pattern = torch.zeros(8, 16, dtype=torch.float64)
    pattern[:, 3] = 1  # every output looks at x2 alone
    z = (pattern @ cache["v", 0][:, :, 0])[0]
    attn = zoo[1].blocks[0].attn
    assert (z @ attn.W_O[0] - written[1, 3, SOME[0, 3]]).abs().max() < 1e-10


def test_the_article_model_has_360_parameters_and_the_config_asked_for():
    model = M.build("article")
    assert sum(p.numel() for p in model.parameters()) == 360
    for name, value in M.CONFIG.items():
        assert getattr(model.cfg, name) == value
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_start_is_numpys_and_the_default_start_is_the_librarys():
    torch.manual_seed(0)
    before, a = torch.get_rng_state(), M.initial_weights("article", 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    b = M.initial_weights("article", 3)
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

    def ours(seed):
        return M.initial_weights("article_default_init", seed)

    theirs = spread(library)
    for name, value in spread(ours).items():
        assert math.isclose(value, theirs[name], rel_tol=0.12), name


def test_librarys_silent_traps_are_still_there():
    """What the notebooks warn of, in TransformerLens 4.3: when this fails, change the notes."""
    model = M.build("article", weights=random_weights("article"))
    tokens = SOME[:, :16]
    clean = model(tokens)

    def zero(value, hook):
        return torch.zeros_like(value)

    def run(name):
        return model.run_with_hooks(tokens, fwd_hooks=[(name, zero)])

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


# ---------------------------------------------------------------- the one door


def test_a_bridge_knows_its_kind():
    for kind in M.KINDS:
        assert M.as_zoo(M.build(kind)).kind == kind
    zoo = M.load_zoo("sum_pairs")
    assert M.as_zoo(zoo) is zoo and M.as_zoo(zoo[3]).task == "sum_pairs"
    assert M.as_zoo(M.build(LONG)).length == 16


def test_of_a_bridge_made_elsewhere_the_configuration_tells_the_kind():
    for kind in M.KINDS:
        bridge = M.build(kind)
        del bridge.kind
        found = M.get_kind(M.as_zoo(bridge).kind)
        assert (found.config, found.task) == (M.get_kind(kind).config, M.get_kind(kind).task)
    stranger = M.build(M.Kind(dict(d_model=8)))
    del stranger.kind
    for model in (stranger, "article", None):
        with pytest.raises(ValueError, match="allowed are a Zoo, and a TransformerBridge"):
            M.as_zoo(model)


def test_as_zoo_copies_so_that_later_changes_do_not_reach_it():
    bridge = M.build("article", weights=random_weights())
    zoo = M.as_zoo(bridge)
    with torch.no_grad():
        bridge.blocks[0].attn.W_O.zero_()
    assert zoo.weights["blocks.0.attn.o.weight"].abs().sum() > 0
    assert M.as_zoo(bridge).weights["blocks.0.attn.o.weight"].abs().sum() == 0


# ---------------------------------------------------------------- what is stored


def test_unknown_names_list_the_names_there_are():
    with pytest.raises(ValueError, match="no_layernorm"):
        M.build("articel")
    with pytest.raises(ValueError, match="there are article"):
        M.load_trained("articel")


def test_a_saved_model_is_loaded_as_it_was(tmp_path):
    weights = random_weights("no_mlp")
    save(tmp_path / "mine.safetensors", weights, {"kind": "no_mlp", "seed": 0})
    model = M.load_trained("mine", folder=tmp_path)
    back = M.read_weights(model)
    assert back.keys() == weights.keys() and all(torch.equal(back[k], weights[k]) for k in back)
    assert M.as_zoo(model).kind == "no_mlp" and not model.training


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    def stored(weights, note):
        save(tmp_path / "article.safetensors", weights, note)
        return lambda: M.load_trained("article", folder=tmp_path)

    weights = random_weights()
    for note, message in (
        ({"kind": "no_mlp"}, r"article\.safetensors: blocks.*not a parameter of this kind"),
        ({"kind": "other"}, r"article\.safetensors: .*'other'; there are article"),
        ({}, r"article\.safetensors: .*None; there are article"),
    ):
        with pytest.raises(ValueError, match=message):
            stored(weights, note)()
    short = weights | {"embed.weight": weights["embed.weight"][:4]}
    with pytest.raises(ValueError, match=r"embed.weight has shape \(4, 4\), expected \(5, 4\)"):
        stored(short, {"kind": "article"})()
    del short["embed.weight"]
    with pytest.raises(ValueError, match="embed.weight is missing"):
        stored(short, {"kind": "article"})()
    (tmp_path / "article.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="article.safetensors is missing"):
        M.load_trained("article", folder=tmp_path)


def test_the_stored_model_is_exact_and_its_note_says_so():
    _, note = load(M.WEIGHTS / "article.safetensors")
    assert n_right(M.load_trained()).item() == note["n_right"] == T.N_SEQUENCES
    assert note["seed"] == 0 and note["config"] == M.CONFIG
