"""helpers.model: the two ways to compute a model agree, and every model goes through one door."""

import math
import warnings

import pytest
import torch
from samples import SOME, random_weights, random_zoo, sequences_of

from helpers import model as M
from helpers import task
from helpers.storage import save

LONG = M.Kind(length=16)


@pytest.mark.parametrize("kind", [*M.KINDS, LONG, M.Kind(dict(d_mlp=8))], ids=str)
def test_forward_equals_the_library(kind):
    zoo = random_zoo(kind)
    tokens, n = sequences_of(zoo), zoo.length
    ours = zoo(tokens)
    assert ours.shape == (2, 60, n, task.VOCAB)
    for i in range(2):
        theirs = zoo.bridge(i)(tokens[:, : 2 * n])[:, n:]
        assert (ours[i] - theirs).abs().max() < 1e-10
        assert (ours[i] - zoo[i](tokens)[0]).abs().max() < 1e-12
    each = torch.stack([tokens, tokens.flip(0)])  # other tokens for each model
    assert torch.allclose(M.forward(zoo.weights, each)[1], ours[1].flip(0), atol=1e-12)


def library_hook(place, edit):
    """`edit` of the value at the outputs, as a hook of TransformerLens."""

    def hook(value, hook):
        value = value.clone()
        at_outputs = value[..., 8:, :] if place == "pattern" else value[:, 8:]
        new = edit(at_outputs.reshape(len(value), 8, -1))  # one head: its axis is dropped
        at_outputs.copy_(new.view_as(at_outputs))
        return value

    return (M.HOOKS[place], hook)


@pytest.mark.parametrize("place", M.HOOKS)
def test_an_edit_does_the_same_in_both(place):
    def flipped(value, tokens=None):  # layer norm would undo a mere scaling
        return value.flip(-1) - 0.3

    zoo = random_zoo(seeds=[0])
    ours, bridge = zoo.edited({place: flipped})(SOME)[0], zoo.bridge()
    theirs = bridge.run_with_hooks(SOME[:, :16], fwd_hooks=[library_hook(place, flipped)])[:, 8:]
    assert (ours - theirs).abs().max() < 1e-10
    assert (ours - zoo(SOME)[0]).abs().max() > 1e-3


def test_a_place_is_edited_once_and_has_to_be_there():
    zoo = random_zoo().edited({"z": torch.zeros(4)})
    with pytest.raises(KeyError, match="z of these models is edited already"):
        zoo.edited({"z": torch.ones(4)})
    assert set(zoo.edited({"post": torch.zeros(16)}).edits) == {"z", "post"}
    for models, place in ((zoo, "resid_mid"), (random_zoo("no_mlp"), "mlp_out")):
        with pytest.raises(ValueError, match=f"unknown place in this model '{place}'; .* pattern"):
            models.edited({place: torch.zeros(1)})


def test_the_lens_and_what_attention_writes_are_the_models_own():
    zoo = random_zoo()
    _, cache = zoo.bridge(1).run_with_cache(SOME[:, :16])
    resid = cache["resid_post", 0][:, 8:].expand(2, -1, -1, -1)
    assert (M.unembed(resid, zoo.weights)[1] - zoo(SOME)[1]).abs().max() < 1e-10
    written = M.attention_writes(zoo.weights)
    assert written.shape == (2, 16, task.VOCAB, 4)
    attn = zoo.bridge(1).blocks[0].attn
    value = cache["v", 0][0, 3, 0]  # of x2 in the first sequence
    assert (value @ attn.W_O[0] - written[1, 3, SOME[0, 3]]).abs().max() < 1e-10


def test_the_article_model_has_360_parameters_and_the_config_asked_for():
    model = M.build("article")
    assert sum(p.numel() for p in model.parameters()) == 360
    assert all(getattr(model.cfg, name) == value for name, value in M.CONFIG.items())
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_the_start_is_numpys_and_the_default_start_is_the_librarys():
    before, a = torch.get_rng_state(), M.initial_weights("article", 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    b = M.initial_weights("article", 3)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["embed.weight"], M.initial_weights("article", 4)["embed.weight"])

    from transformer_lens import TransformerBridge, TransformerBridgeConfig

    def spread(draw):
        each = [draw(seed) for seed in range(40)]
        matrices = [name for name in each[0] if each[0][name].dim() == 2]
        return {k: torch.stack([w[k] for w in each]).double().std().item() for k in matrices}

    def library(seed):
        cfg = TransformerBridgeConfig(**M.CONFIG, seed=seed)
        return TransformerBridge.boot_native(cfg).state_dict()

    theirs = spread(library)
    ours = spread(lambda seed: M.initial_weights("article_default_init", seed))
    assert all(math.isclose(ours[name], theirs[name], rel_tol=0.15) for name in ours)


def test_the_librarys_silent_traps_are_still_there():
    """What the notebooks warn of, in TransformerLens 4.3: when this fails, change the notes."""
    model = M.build("article", weights=random_weights("article"))
    tokens = SOME[:, :16]
    clean = model(tokens)

    def run(name):
        hook = (name, lambda value, hook: torch.zeros_like(value))
        return model.run_with_hooks(tokens, fwd_hooks=[hook])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(run("blocks.0.attn.hook_attn_scores"), clean)  # discarded
    # reaches the MLP, as an edit of ln2's input would, but not the stream that runs beside it
    assert torch.equal(run("blocks.0.hook_resid_mid"), run("blocks.0.ln2.hook_in"))
    with torch.no_grad():
        model.W_O.zero_()  # a stacked copy
        assert torch.equal(model(tokens), clean)
        model.blocks[0].attn.W_O.zero_()  # the weights themselves
        assert not torch.equal(model(tokens), clean)


def test_a_kind_refuses_what_forward_does_not_compute():
    for config, said in (
        (dict(act_fn="gelu"), "act_fn = 'gelu'; allowed is 'relu'"),
        (dict(n_layers=2), "n_layers = 2; allowed is 1"),
        (dict(d_model=-3), "d_model -3; allowed are whole numbers from 1 on"),
        (dict(width=3), "unknown setting of a model 'width'; there are n_layers"),
    ):
        with pytest.raises(ValueError, match=said):
            M.Kind(config)


def test_a_bridge_knows_its_kind_and_of_another_one_the_configuration_tells_it():
    for kind in M.KINDS:
        bridge = M.build(kind)
        assert M.as_zoo(bridge).kind == kind
        del bridge.kind
        found = M.get_kind(M.as_zoo(bridge).kind)
        assert (found.config, found.task) == (M.KINDS[kind].config, M.KINDS[kind].task)
    assert M.as_zoo(M.build(LONG)).length == 16
    stranger = M.build(M.Kind(dict(d_model=8)))
    del stranger.kind
    for model in (stranger, "article", None):
        with pytest.raises(ValueError, match="allowed are a Zoo, and a TransformerBridge"):
            M.as_zoo(model)


def test_a_bridge_that_computes_something_else_is_refused():
    """A bias at the unembedding would be left out of every count and of the proof."""

    def bias(model):
        with torch.no_grad():
            model.state_dict()["unembed.bias"][3] = 50

    def hook(model):
        model.add_perma_hook(M.HOOKS["mlp_out"], lambda value, hook: 0 * value)

    def eps(model):
        model.blocks[0].ln1.original_component.eps = 0.5
        model.blocks[0].ln1.config.eps = 0.5

    for change in (bias, hook, eps):
        model = M.load_trained()
        M.as_zoo(model)
        change(model)
        with pytest.raises(ValueError, match="allowed: no unembed.bias, no hooks"):
            M.as_zoo(model)


def test_as_zoo_copies_so_that_later_changes_do_not_reach_it():
    bridge = M.build("article", weights=random_weights())
    zoo = M.as_zoo(bridge)
    with torch.no_grad():
        bridge.blocks[0].attn.W_O.zero_()
    assert zoo.weights["blocks.0.attn.o.weight"].abs().sum() > 0


def test_a_part_of_a_zoo_is_those_models_with_their_record():
    zoo = M.load_zoo("article")
    failed = zoo.where(~zoo.exact)
    assert failed.seeds == [7, 9, 19, 25] and not failed.exact.any()
    one = failed[1]
    assert isinstance(one, M.Zoo) and one.seeds == [9] and len(one.info["steps"]) == 1
    assert torch.equal(one(SOME)[0], zoo(SOME)[9])
    assert len(list(failed)) == 4 and failed[-1].seeds == [25]
    with pytest.raises(IndexError):
        failed[4]


def test_a_saved_model_is_loaded_as_it_was(tmp_path):
    weights = random_weights("no_mlp")
    save(tmp_path / "mine.safetensors", weights, {"kind": "no_mlp", "seed": 0})
    model = M.load_trained("mine", folder=tmp_path)
    back = M.read_weights(model)
    assert back.keys() == weights.keys() and all(torch.equal(back[k], weights[k]) for k in back)
    assert M.as_zoo(model).kind == "no_mlp" and not model.training


@pytest.mark.parametrize(
    "change, note, said",
    [
        ({}, {"kind": "no_mlp"}, "blocks.*not a parameter of this kind"),
        ({}, {"kind": "other"}, "'other'; there are article"),
        ({}, {}, "None; there are article"),
        ({"embed.weight": 4}, {"kind": "article"}, r"embed.weight has shape \(4, 4\), expected"),
        ({"embed.weight": 0}, {"kind": "article"}, "embed.weight is missing"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(change, note, said, tmp_path):
    weights = random_weights()
    for name, rows in change.items():
        value = weights.pop(name)[:rows]
        weights |= {name: value} if rows else {}
    save(tmp_path / "article.safetensors", weights, note)
    with pytest.raises(ValueError, match=rf"article\.safetensors.*{said}"):
        M.load_trained("article", folder=tmp_path)
