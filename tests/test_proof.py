"""helpers.proof agrees with counting, bounds what happens, and is checked by code of its own."""

import ast
import copy
import json
import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from helpers import evaluation as E
from helpers import model as M
from helpers import proof as R
from helpers import task as T
from helpers.training import train
from tools.check_proof import check

ROOT = Path(__file__).parents[1]
# Which models are drawn. Printed, so that a failure can be seen again: PROOF_SEED=... pytest
SEED = int(os.environ.get("PROOF_SEED", random.randrange(10**6)))


def one(kind, i):
    zoo = M.load_zoo(kind)
    return zoo.where(torch.arange(len(zoo)) == i)


def fresh(kind, seed):
    """An untrained model, as a zoo of one."""
    return M.Zoo(kind, {k: v[None] for k, v in M.initial_weights(kind, seed).items()}, [seed])


def counted(zoo):
    """Wrong tokens by output, counted on every input."""
    wrong = (1 - E.by_position(zoo)[0]) * T.DIGITS**zoo.length
    return wrong.round().long().tolist()


def arrays(zoo):
    return {name: value[0].numpy() for name, value in zoo.weights.items()}


def leaves(proof):
    return [node for root in proof.tree for node in root.walk() if not node.nodes]


@cache
def stored():
    """The article's model as a zoo of one, and its proof."""
    zoo = M.as_zoo(M.load_trained())
    return zoo, R.prove(zoo)


@pytest.mark.parametrize("task", T.TASKS)
@pytest.mark.parametrize("length", [3, 8, 16])
def test_the_sources_are_what_decides_an_output(task, length):
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (20, length)))
    y = T.targets(x, task, length)
    for i in range(length):
        places = T.SOURCES[task](i, length)
        for k in range(length):
            other = x.clone()
            other[:, k] = (x[:, k] + 1) % 4
            moved = (T.targets(other, task, length) != y)[:, i]
            assert moved.all() if k in places else not moved.any()


def test_the_stored_model_is_proved_in_few_cases():
    zoo, proof = stored()
    assert proof.proved and proof.wrong == [0] * 8 == counted(zoo)
    least = 4 + 7 * 16  # one token is both source and own for y0, two for the others
    assert least <= proof.cases < 2 * least
    for output, root in enumerate(proof.tree):  # every input is in one leaf
        sizes = [4.0 ** -len(node.fixed) for node in root.walk() if not node.nodes]
        assert sum(sizes) == 1 and root.output == output
    assert all(node.verdict == "right" and len(node.box) == 3 for node in leaves(proof))


@pytest.mark.slow
def test_models_drawn_from_the_zoo_agree_with_the_count(capsys):
    with capsys.disabled():
        print(f" [PROOF_SEED={SEED}] ", end="")
    draw = random.Random(SEED)
    plain = [k for k in M.KINDS if M.KINDS[k].task == "reverse_plus_one"]
    for kind, i in [(draw.choice(plain), draw.randrange(32)) for _ in range(10)]:
        zoo = one(kind, i)
        assert R.prove(zoo).wrong == counted(zoo), f"PROOF_SEED={SEED}: {kind}/{i}"


def test_models_that_are_wrong_now_and_then_agree_with_the_count():
    """Trained for a moment only: outputs right, wrong, and both, by what else is in the input."""
    seeds = np.random.default_rng(SEED).integers(0, 10**6, 3)
    zoo, _ = train(M.Kind(length=5), seeds, max_steps=150)
    for i in range(3):
        single = zoo.where(torch.arange(3) == i)
        assert R.prove(single).wrong == counted(single), f"PROOF_SEED={SEED}: {zoo.seeds[i]}"


@pytest.mark.parametrize("kind", M.KINDS)
@pytest.mark.parametrize("length", [2, 3])
def test_untrained_models_of_a_few_digits_agree_with_the_count(kind, length):
    """Random weights: nothing is easy, and the search goes down to single inputs."""
    given = M.KINDS[kind]
    config = {k: v for k, v in given.config.items() if k != "n_ctx"}
    zoo = fresh(M.Kind(config, None, given.task, length), SEED)
    proof = R.prove(zoo)
    assert proof.wrong == counted(zoo), f"PROOF_SEED={SEED}"
    if length == 2 and zoo.weights["embed.weight"].shape[-1] == 4:  # wide ones take minutes
        assert check(as_read(proof), arrays(zoo)) == proof.wrong, f"PROOF_SEED={SEED}"


@pytest.mark.slow
def test_a_failed_model_is_counted_exactly_and_the_sum_of_two_is_proved():
    failed, pairs = one("article", 7), one("sum_pairs", 3)
    proof = R.prove(failed)
    assert not proof.proved and proof.wrong == counted(failed) and sum(proof.wrong) > 0
    assert check(as_read(proof), arrays(failed)) == proof.wrong
    proof = R.prove(pairs)
    assert proof.proved and pairs.exact.all() and proof.cases >= 16 + 7 * 64


def with_small_logits(zoo):
    """The same model with all margins so small that any room for error would hold them."""
    weights = zoo.weights | {"unembed.weight": zoo.weights["unembed.weight"] / 2**60}
    return M.Zoo(zoo.kind, weights, zoo.seeds)


def nearly_blind():
    """An untrained model whose boxes leave open for a while which logit is the highest."""
    return fresh(M.Kind(dict(attn_only=True), None, length=3), 0)


def test_the_scale_of_the_logits_does_not_matter_to_a_proof():
    proof, small = R.prove(nearly_blind()), R.prove(with_small_logits(nearly_blind()))
    assert (small.cases, small.wrong) == (proof.cases, proof.wrong) and any(proof.wrong)


def test_what_attention_adds_lies_in_the_box_of_each_node():
    zoo, proof = stored()
    model, rng = zoo[0], np.random.default_rng(SEED)
    for root in proof.tree:
        axes = None
        for node in root.walk():
            axes = node.axes if node.axes is not None else axes
            if node.box is None or rng.random() > 0.3:
                continue
            x = torch.from_numpy(rng.integers(0, 4, (50, 8)))
            for place, token in node.fixed.items():
                x[:, place] = token
            tokens = T.full_sequences(x)[:, :16]
            _, cache = model.run_with_cache(tokens)
            added = cache["attn_out", 0][:, 8 + node.output] - model.blocks[0].attn.b_O
            along = (added - added.mean(1, keepdim=True)).detach().numpy() @ axes.T
            inside = (along >= node.box[:, 0]).all() and (along <= node.box[:, 1]).all()
            assert inside, f"PROOF_SEED={SEED}"


# ---------------------------------------------------------------- what is refused


def test_bad_input_is_a_value_error_that_says_what_is_allowed():
    zoo = M.load_zoo("article")
    with pytest.raises(ValueError, match="32 models; allowed is one"):
        R.prove(zoo)
    with pytest.raises(ValueError, match="edited model; allowed"):
        R.prove(one("article", 0).edited({"mlp_out": torch.zeros(4)}))
    broken = one("article", 0)
    broken.weights["embed.weight"] = broken.weights["embed.weight"].clone()
    broken.weights["embed.weight"][0, 1, 2] = float("nan")
    with pytest.raises(ValueError, match="embed.weight holds nan or infinity"):
        R.prove(broken)
    with pytest.raises(ValueError, match="got str; allowed"):
        R.prove("article")


def test_a_tie_is_said_and_not_decided():
    zoo = fresh(M.Kind(length=2), 0)
    zoo.weights["unembed.weight"][:, 3] = zoo.weights["unembed.weight"][:, 1]  # 1 and 3 the same
    with pytest.raises(ArithmeticError, match="a tie"):
        zoo.weights["unembed.weight"][:, [0, 2, 4]] -= 100 * torch.ones(4).double()
        zoo.weights["ln_final.bias"] += 1
        R.prove(zoo)


# ---------------------------------------------------------------- proofs in files


def as_read(proof):
    """The record that `save` writes, as JSON gives it back."""
    file = ROOT / "tests" / f".proof-{os.getpid()}.json"
    try:
        R.save(file, proof)
        return json.loads(file.read_text())
    finally:
        file.unlink(missing_ok=True)


def test_a_proof_comes_back_from_its_file(tmp_path):
    zoo, proof = stored()
    R.save(tmp_path / "proof.json", proof)
    back = R.load(tmp_path / "proof.json", M.load_trained())
    assert (back.cases, back.wrong, back.proved) == (proof.cases, proof.wrong, True)
    for a, b in zip(leaves(proof), leaves(back), strict=True):
        assert a.fixed == b.fixed and a.verdict == b.verdict and (a.box == b.box).all()
    assert os.listdir(tmp_path) == ["proof.json"]


def test_a_file_that_is_cut_or_of_another_kind_is_refused(tmp_path):
    zoo, proof = stored()
    path = tmp_path / "proof.json"
    R.save(path, proof)
    whole = path.read_text()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_text(whole[:cut])
        with pytest.raises(ValueError, match="not a whole proof"):
            R.load(path, zoo)
    for other in ("[]", "3", '"proof"', "{}"):
        path.write_text(other)
        with pytest.raises(ValueError, match="proof"):
            R.load(path, zoo)
    path.write_text(whole.replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="'version': 2.*allowed is.*'version': 1"):
        R.load(path, zoo)
    path.write_text(whole)
    with pytest.raises(ValueError, match="allowed is"):
        R.load(path, one("article", 1))
    with pytest.raises(ValueError, match="'length': 8.*allowed is.*'length': 4"):
        R.load(path, fresh(M.Kind(length=4), 0))


# ---------------------------------------------------------------- forged proofs


def first(record, condition):
    """The first node, outputs in order, for which `condition` holds."""

    def walk(node):
        yield node
        for child in node["nodes"]:
            yield from walk(child)

    return next(n for root in record["tree"] for n in walk(root) if condition(n))


def is_leaf(node):
    return not node["nodes"]


def splits(node):
    """Bounded, open, and therefore asking for one more token."""
    return node["nodes"] and "box" in node


def drop_a_leaf(record):
    first(record, lambda n: n["nodes"] and is_leaf(n["nodes"][0]))["nodes"].pop()


def lower_a_bound(record):
    low, high = (float.fromhex(x) for x in first(record, is_leaf)["box"][0])
    first(record, is_leaf)["box"][0][1] = (high - 1e-6 * (high - low)).hex()


def raise_a_bound_from_below(record):
    low, high = (float.fromhex(x) for x in first(record, is_leaf)["box"][0])
    first(record, is_leaf)["box"][0][0] = (low + 1e-6 * (high - low)).hex()


def endless_bounds(record):
    first(record, is_leaf)["box"] = [["-inf", "inf"]] * 3


def stop_too_early(record):
    node = first(record, splits)
    node.pop("asks")
    node |= {"nodes": [], "verdict": "right"}


def call_it_wrong(record):
    first(record, is_leaf)["verdict"] = "wrong"


def call_it_certain(record):
    first(record, is_leaf)["verdict"] = "certain"


def ask_for_a_wrong_source(record):
    root = record["tree"][1]
    root["asks"] = (root["asks"] + 2) % 8


def ask_twice(record):
    root = record["tree"][1]
    root["nodes"][1]["asks"] = root["asks"]


def ask_for_no_place(record):
    record["tree"][0]["asks"] = 8


def exchange_two_outputs(record):
    record["tree"][1], record["tree"][5] = record["tree"][5], record["tree"][1]


def exchange_two_children(record):
    nodes = record["tree"][1]["nodes"]
    nodes[0], nodes[1] = nodes[1], nodes[0]


def leave_an_output_out(record):
    record["tree"].pop()


def another_task(record):
    record["task"] = "sum_pairs"


def another_version(record):
    record["version"] = 2


def flat_axes(record):
    node = first(record, lambda n: "axes" in n)
    node["axes"], node["box"] = [node["axes"][0]] * 3, [node["box"][0]] * 3


def count_one_wrong(record):
    record["wrong"][0] = 1


FORGED = {  # and what the refusal must say
    drop_a_leaf: "at the node y0: .*has 3 children",
    lower_a_bound: "at the node y0, x7 = 0: .* is no bound",
    raise_a_bound_from_below: "at the node y0, x7 = 0: .* is no bound",
    endless_bounds: "at the node y0, x7 = 0: .*no floats",
    stop_too_early: "at the node y.*not shown to be right",
    call_it_wrong: "at the node y0, x7 = 0: .*not shown to be wrong",
    call_it_certain: "at the node y0, x7 = 0: .*certain",
    ask_for_a_wrong_source: "at the node y1, .*KeyError",
    ask_twice: "at the node y1, .*asks for x6",
    ask_for_no_place: "at the node y0: .*asks for x8",
    exchange_two_outputs: "at the node y1, ",
    exchange_two_children: "at the node y1, ",
    leave_an_output_out: "allowed is",
    another_task: "at the node y0, ",
    another_version: "allowed is",
    flat_axes: "at the node y0, x7 = 0: ZeroDivisionError",
    count_one_wrong: "says that .* are wrong",
}


@pytest.fixture(scope="module")
def record():
    """A proof that asks for a third token somewhere, and the arrays it is about."""
    zoo, proof = stored()
    assert any(node.nodes and node.box is not None for root in proof.tree for node in root.walk())
    return as_read(proof), arrays(zoo)


@pytest.mark.slow
def test_the_checker_accepts_the_true_proof(record):
    assert check(*record) == [0] * 8


@pytest.mark.slow
@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_the_checker_refuses_a_forged_proof(record, forge):
    forged = copy.deepcopy(record[0])
    forge(forged)
    assert forged != record[0]
    with pytest.raises(ValueError, match=FORGED[forge]):
        check(forged, record[1])


def test_the_checker_refuses_what_is_nearly_right():
    small = with_small_logits(nearly_blind())
    record = as_read(R.prove(small))
    assert check(record, arrays(small)) == record["wrong"]
    first(record, lambda node: node.get("verdict") == "wrong")["verdict"] = "right"
    with pytest.raises(ValueError, match="not shown to be right"):
        check(record, arrays(small))


def test_the_checker_refuses_a_proof_of_other_weights(record):
    """One weight changed in its last bit; and another model's proof, signed as if it were ours."""
    zoo, _ = stored()
    proof, weights = record
    changed = dict(weights, **{"embed.weight": weights["embed.weight"].copy()})
    changed["embed.weight"][0, 0] = np.nextafter(changed["embed.weight"][0, 0], 9)
    with pytest.raises(ValueError, match="allowed is"):
        check(proof, changed)
    other = as_read(R.prove(one("article", 1)))
    with pytest.raises(ValueError, match="allowed is"):
        check(other, weights)
    with pytest.raises(ValueError, match="at the node"):
        check(other | {"weights": proof["weights"]}, weights)


@pytest.mark.slow
def test_the_checker_shares_nothing_with_the_search_and_runs_as_a_command(record, tmp_path):
    tree = ast.parse((ROOT / "tools" / "check_proof.py").read_text(encoding="utf-8"))
    lines = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    used = {getattr(n, "module", None) or a.name for n in lines for a in n.names}
    assert {name.partition(".")[0] for name in used}.isdisjoint({"helpers", "flint", "tools"})
    assert "mpmath" in used and not any("import_module" in ast.dump(n) for n in ast.walk(tree))
    (tmp_path / "proof.json").write_text(json.dumps(record[0]))
    save_file({f"article/{k}": v[None] for k, v in record[1].items()}, tmp_path / "zoo.safetensors")

    def run(*which):
        command = [sys.executable, ROOT / "tools" / "check_proof.py", "proof.json"]
        command += ["zoo.safetensors", *which]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    done = run("article/0")
    assert done.returncode == 0
    assert done.stdout == "accepted: reverse_plus_one, right on all 65,536 inputs\n"
    first(record[0], is_leaf)["box"][0].reverse()
    (tmp_path / "proof.json").write_text(json.dumps(record[0]))
    first(record[0], is_leaf)["box"][0].reverse()
    done = run("article/0")
    assert done.returncode == 1 and done.stderr.startswith("refused: ") and "y0, x7" in done.stderr
    assert run("article/1").returncode == run("nothing/0").returncode == run().returncode == 1
