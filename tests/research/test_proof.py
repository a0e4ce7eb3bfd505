"""research.proof agrees with counting, bounds what happens, and is checked by code of its own."""

import dataclasses
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from conftest import ROOT
from helpers import interventions, task
from helpers.model import KINDS, Kind, Zoo, initial_weights, load_zoo
from research import census, constants, proof
from research.counting import by_position
from tools.check_proof import check

# One model of each kind; the first is not exact.
TRAINED = dict(article=7, no_mlp=21, no_layernorm=5, no_mlp_no_layernorm=11, sum_pairs=3)


def fresh(kind, seed=0):
    """An untrained model, as a zoo of one."""
    return Zoo(kind, {k: v[None] for k, v in initial_weights(kind, seed).items()}, [seed])


def counted(zoo):
    """Wrong tokens by output, counted on every input."""
    wrong = (1 - by_position(zoo)[0]) * task.DIGITS**zoo.length
    return wrong.round().long().tolist()


def arrays(zoo):
    return {name: value[0].numpy() for name, value in zoo.weights.items()}


def nodes_of(tree):
    """All nodes, of a proof or of what JSON gives back, outputs in order."""
    for node in tree:
        yield node
        yield from nodes_of(node["nodes"] if isinstance(node, dict) else node.nodes)


@cache
def stored():
    """The article's model as a zoo of one, and its proof."""
    zoo = load_zoo("article")[0]
    return zoo, proof.prove(zoo)


@cache
def small():
    """An untrained model, wrong here and right there, whose boxes leave open for a while which
    logit is the highest; its logits are so small that any room for error would hold them all."""
    zoo = fresh(Kind(dict(attn_only=True), None, length=3))
    zoo.weights["unembed.weight"] /= 2**60
    return zoo, proof.prove(zoo)


@pytest.fixture
def as_read(tmp_path):
    """A function proof -> what its file holds, as JSON gives it back."""

    def read(found):
        proof.save(tmp_path / "proof.json", found)
        return json.loads((tmp_path / "proof.json").read_text())

    return read


def test_the_stored_model_is_proved_in_few_cases():
    zoo, found = stored()
    assert found.proved and found.wrong == [0] * 8 == counted(zoo)
    least = 4 + 7 * 16  # one token is both source and own for y0, two for the others
    assert least <= found.cases < 2 * least
    for output, root in enumerate(found.tree):  # every input is in one leaf
        leaves = [node for node in nodes_of([root]) if not node.nodes]
        assert sum(4.0 ** -len(node.fixed) for node in leaves) == 1
        assert all(n.output == output and n.verdict == "right" and len(n.box) == 3 for n in leaves)


@pytest.mark.parametrize("length", [3, 8, 16])
@pytest.mark.parametrize("name", task.TASKS)
def test_the_sources_are_what_decides_an_output(name, length):
    x = torch.from_numpy(np.random.default_rng(length).integers(0, 4, length))
    for i, places in enumerate(proof.sources(name, length)):
        decided = set()
        for place in range(length):
            other = x.clone()
            other[place] = (x[place] + 1) % 4
            if task.targets(other, name)[i] != task.targets(x, name)[i]:
                decided.add(place)
        assert decided == set(places)


def test_a_rule_of_your_own_is_proved_by_what_decides_it_and_no_file_takes_the_proof(tmp_path):
    def rare(x):
        return torch.where((x == 3).all(1, keepdim=True), 0, x)  # one input of 64 shows it

    assert proof.sources(rare, 3) == [(0, 1, 2)] * 3
    found = proof.prove(zoo := fresh(Kind(dict(attn_only=True), None, rare, length=3)))
    assert found.wrong == counted(zoo) and not found.proved
    with pytest.raises(ValueError, match="allowed are tasks with a name"):
        proof.save(tmp_path / "proof.json", found)


@pytest.mark.nightly
@pytest.mark.parametrize("kind, i", TRAINED.items())
def test_trained_models_are_wrong_as_often_as_is_counted(kind, i):
    zoo = load_zoo(kind)[i]
    assert proof.prove(zoo).wrong == counted(zoo)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [2, pytest.param(3, marks=pytest.mark.nightly)])
def test_untrained_models_are_wrong_as_often_as_is_counted(kind, length, as_read):
    """Random weights: nothing is easy, and the search goes down to single inputs."""
    config = {k: v for k, v in KINDS[kind].config.items() if k != "n_ctx"}
    zoo = fresh(Kind(config, None, KINDS[kind].task, length), 1)
    found = proof.prove(zoo)
    assert found.wrong == counted(zoo)
    if length == 2 and config["d_model"] == 4:  # wide ones take minutes
        assert check(as_read(found), arrays(zoo)) == found.wrong


def test_what_floats_lose_is_less_than_what_the_proof_allows(monkeypatch):
    """A program in 32 bits against the function of the same weights; times the last divisor."""
    zoo, allowed, plain = stored()[0], np.zeros(8), proof._Case._rounding

    def watched(case, *given):
        off = plain(case, *given)
        output = case.at[0] - 8
        allowed[output] = max(allowed[output], off.max())
        return off

    monkeypatch.setattr(proof._Case, "_rounding", watched)
    assert proof.prove(zoo, proof.UNITS[32]).proved
    few = task.full_sequences()[::5]
    logits = {}
    for kind in (torch.float32, torch.float64):
        weights = {name: value.float().to(kind) for name, value in zoo.weights.items()}
        logits[kind] = Zoo("article", weights, [0])(few)[0].double()
    lost = logits[torch.float32] - logits[torch.float64]
    stream = interventions.record(zoo, "resid_post", few)[0]
    size = (stream.var(-1, unbiased=False) + 1e-5).sqrt()
    lost = (lost - lost.gather(-1, few[:, 9:, None])).abs().amax(-1) * size
    assert (lost.amax(0) > 0).all() and (lost.amax(0).numpy() < allowed).all()


def test_where_rounding_could_decide_nothing_is_called_proved(as_read):
    """Seed 3 is proved in 64 bits and cannot be in 32; a file that says so is refused."""
    zoo = load_zoo("article")[3]
    found = proof.prove(zoo, proof.UNITS[64])
    record = as_read(found)
    assert check(record, arrays(zoo)) == [0] * 8
    with pytest.raises(ArithmeticError, match="rounding could decide it, at"):
        proof.prove(zoo, proof.UNITS[32])
    with pytest.raises(ValueError, match="at the node"):
        check(record | {"unit": proof.UNITS[32]}, arrays(zoo))
    first(record, lambda node: "spread" in node)["spread"][0][1] = (1e-9).hex()
    with pytest.raises(ValueError, match="is no bound"):
        check(record, arrays(zoo))


def test_a_story_that_is_proved_holds_at_any_strength():
    """All between the whole model and its line with constants, drawn and counted."""
    zoo, _ = stored()
    with torch.no_grad():
        opened = census.Opened(zoo)
    _, story = constants.find_story(opened)
    assert proof.prove(zoo, story=story).proved
    rng, line = np.random.default_rng(0), torch.from_numpy(story.direction)
    usual = torch.from_numpy(story.written)[:, None]
    on_line = usual + ((opened.attn - usual) @ line)[..., None] * line
    constant = torch.from_numpy(story.constant)[:, None]
    for rest, mlp in [(0, 0), (1, 0), *rng.random((4, 2))]:
        attn = on_line + rest * (opened.attn - on_line)
        writes = constant + mlp * (opened.mlp_of(attn, opened.stream) - constant)
        assert torch.equal(opened.says(attn, mlp=writes), census.ANSWER)
    bad = dataclasses.replace(story, constant=np.zeros_like(story.constant))
    with pytest.raises(ArithmeticError, match="the story fails at the strengths"):
        proof.prove(zoo, story=bad)


def test_weights_that_are_not_finite_are_refused():
    broken = fresh("article")
    broken.weights["embed.weight"][0, 1, 2] = float("nan")
    with pytest.raises(ValueError, match="embed.weight holds nan or infinity"):
        proof.prove(broken)


def test_a_tie_is_said_and_not_decided():
    zoo = fresh(Kind(length=2))
    zoo.weights["unembed.weight"][:, 3] = zoo.weights["unembed.weight"][:, 1]  # 1 and 3 the same
    zoo.weights["unembed.weight"][:, [0, 2, 4]] -= 100
    zoo.weights["ln_final.bias"] += 1
    with pytest.raises(ArithmeticError, match="a tie"):
        proof.prove(zoo)


def test_a_proof_comes_back_from_its_file_and_is_of_its_model_only(tmp_path):
    zoo, found = small()
    proof.save(tmp_path / "proof.json", found)
    back = proof.load(tmp_path / "proof.json", zoo)
    assert (back.cases, back.wrong, back.proved) == (found.cases, found.wrong, False)
    proof.save(tmp_path / "again.json", back)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "proof.json").read_bytes()
    with pytest.raises(ValueError, match="proof.json: .*allowed is"):
        proof.load(tmp_path / "proof.json", stored()[0])


def first(record, condition):
    return next(node for node in nodes_of(record["tree"]) if condition(node))


def leaf(record, verdict="right"):
    return first(record, lambda node: node.get("verdict") == verdict)


def narrow(record, side):
    """One side of a box a millionth of its width nearer to the other."""
    ends = [float.fromhex(x) for x in leaf(record)["box"][0]]
    leaf(record)["box"][0][side] = (ends[side] + 1e-6 * (ends[1 - side] - ends[side])).hex()


def stop_too_early(record):
    node = first(record, lambda node: node["nodes"] and "box" in node)
    node |= {"nodes": [], "verdict": "right"}


def exchange_two_children(record):
    nodes = record["tree"][1]["nodes"]
    nodes[0], nodes[1] = nodes[1], nodes[0]


def flat_axes(record):
    node = first(record, lambda node: "axes" in node)
    node["axes"], node["box"] = [node["axes"][0]] * 3, [node["box"][0]] * 3


FORGED = {
    "an upper bound too low": lambda record: narrow(record, 1),
    "a lower bound too high": lambda record: narrow(record, 0),
    "axes in a plane": flat_axes,
    "right called wrong": lambda record: leaf(record).update(verdict="wrong"),
    "wrong called right": lambda record: leaf(record, "wrong").update(verdict="right"),
    "a leaf left out": lambda record: first(record, lambda n: n["nodes"])["nodes"].pop(),
    "an output left out": lambda record: record["tree"].pop(),
    "two children exchanged": exchange_two_children,
    "stopped too early": stop_too_early,
    "another task": lambda record: record.update(task="sum_pairs"),
    "another count": lambda record: record["wrong"].append(1),
}


def test_the_checker_accepts_a_true_proof(as_read):
    zoo, found = small()
    assert check(as_read(found), arrays(zoo)) == found.wrong == counted(zoo) and any(found.wrong)


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_the_checker_refuses_a_forged_proof(as_read, forge):
    zoo, found = small()
    forged = as_read(found)
    forge(forged)
    with pytest.raises(ValueError):
        check(forged, arrays(zoo))


def test_the_checker_refuses_a_proof_of_other_weights(as_read):
    """One weight changed in its last bit; and another model's proof, signed as if it were ours."""
    zoo, found = small()
    changed = arrays(zoo) | {"embed.weight": np.nextafter(arrays(zoo)["embed.weight"], 9)}
    with pytest.raises(ValueError, match="allowed is"):
        check(as_read(found), changed)
    other = arrays(fresh(zoo.kind, 1))
    with pytest.raises(ValueError, match="at the node"):
        check(as_read(found) | {"weights": proof._digest(other)}, other)


@pytest.mark.nightly
def test_the_checker_shares_nothing_with_the_search_and_runs_as_a_command(as_read, tmp_path):
    tool, (zoo, found) = ROOT / "tools" / "check_proof.py", stored()
    source = tool.read_text(encoding="utf-8")
    for room in ("helpers", "research", "flint", "importlib"):
        assert f"import {room}" not in source and f"from {room}" not in source
    record = as_read(found)  # in proof.json
    weights = {f"article/{k}": v.numpy() for k, v in zoo.weights.items()}
    save_file(weights, tmp_path / "zoo.safetensors")

    def run(*which):
        command = [sys.executable, tool, "proof.json", "zoo.safetensors", *which]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert run("article/0").stdout == "accepted: reverse_plus_one, right on all 65,536 inputs\n"
    assert run("article/1").returncode == run("nothing/0").returncode == run().returncode == 1
    leaf(record)["box"][0].reverse()
    (tmp_path / "proof.json").write_text(json.dumps(record))
    refused = run("article/0")
    assert refused.returncode == 1 and refused.stderr.startswith("refused: at the node y0, x7")
