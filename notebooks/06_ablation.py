# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/06_ablation.ipynb)

# %% [markdown]
# # 6 · Taking parts away
#
# To find out what a part is for, take it away and see what is missing. This is **ablation**, and it sounds simpler than it is:
# *how* a part is taken away decides what the result means.
#
# **You will**
# - switch off the MLP and attention in place, and restore them bit for bit;
# - do the same with hooks, then replace parts by their mean and by another sequence's values;
# - write each expected figure down first, and see which predictions hold;
# - put the circuit together, ask 32 seeds, and train models *without* the part;
# - prove the circuit with 116 cases, and say what was shown and what was not.
#
# **Time:** about 40 minutes. **You should know:** `04_attention` and `05_mlp`.
# **Before this:** `05_mlp`.

# %% tags=["setup"]
import importlib.util, subprocess, sys  # does nothing where the series is at hand, as in JupyterLab
sys.path[:0] = ["..", "series"]
if importlib.util.find_spec("helpers") is None and subprocess.run(["git", "clone", "-q", "--depth=1", "https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability", "series"]).returncode:
    raise SystemExit("The series could not be fetched from https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability: check the address and the network.")
importlib.invalidate_caches(); import helpers.colab; helpers.colab.install_missing()

# %%
import torch

from helpers import exercises as X
from helpers import explorers as E
from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.certificate import certify
from helpers.claims import claim
from helpers.model import load_trained, load_zoo
from helpers.training import by_position, n_right, right

torch.set_grad_enabled(False)
model = load_trained()
sequences = T.full_sequences()
_, holdout = T.split(sequences)
claim("exact-06", n_right(model, sequences))

# %% [markdown]
# ## In place: W_out
#
# The plainest way: overwrite the weights that write into the stream with zeros. The MLP's are $W_{out}$. A copy goes aside first.
#
# **Predict.** In the natural story the MLP does the +1, so without it the model should say the source token, which is never right. Or it should
# guess. We note the kinder figure:

# %%
predicted_no_mlp = 0.25

# %%
W_out = model.blocks[0].mlp.W_out
backup = W_out.clone()
W_out.zero_()
no_mlp = by_position(model, sequences)
no_mlp_holdout = by_position(model, holdout).mean()
W_out.copy_(backup)
print(f"W_out zeroed: predicted {predicted_no_mlp:.0%}, measured {no_mlp.mean():.2%}, "
      f"on the hold-out {no_mlp_holdout:.2%}")  # fmt: skip

# %%
claim("restored-W_out", torch.equal(model.blocks[0].mlp.W_out, backup))
claim("zeroed-W_out", no_mlp.mean())

# %% [markdown]
# ## In place: W_O
#
# The same for attention. Without it no output can know its source; only $y_0$ has its source at its own place, and `04_attention` showed that it does not use
# it. So all eight should guess:

# %%
predicted_no_attention = 0.25

# %%
W_O = model.blocks[0].attn.W_O
backup = W_O.clone()
W_O.zero_()
no_attention = by_position(model, sequences)
no_attention_holdout = by_position(model, holdout).mean()
W_O.copy_(backup)
print(f"W_O zeroed: predicted {predicted_no_attention:.0%}, measured {no_attention.mean():.2%}, "
      f"on the hold-out {no_attention_holdout:.2%}")  # fmt: skip

# %%
claim("restored-W_O", torch.equal(model.blocks[0].attn.W_O, backup))
claim("zeroed-W_O", abs(no_attention.mean() - predicted_no_attention))
claim("restored-exact", n_right(model, sequences))

# %%
P.show(
    P.bars({"without W_out": no_mlp, "without W_O": no_attention}, y_title="accuracy, all sequences",
           title="Zeroed in place", reference={"chance": 0.25}),
    says="Without W_O every output is at one in four. Without W_out y3 to y6 stay right, y0 loses a "
    "fifth, and y1, y2 and y7 fall to a half.",
)  # fmt: skip

# %% [markdown]
# Attention behaves as predicted. The MLP does not: more than three quarters are still right.
#
# ## The same with hooks
#
# Writing into weights is risky: forget to restore them and everything after is wrong. A **hook** changes a value while the model runs and
# leaves the weights alone. Zeroing $W_{out}$ is the same as setting the neurons to zero, and zeroing $W_O$ the same as setting `z` to zero:

# %%
hooked_mlp = by_position(I.ablate(model, "post", "zero"), sequences)
hooked_attention = by_position(I.ablate(model, "z", "zero"), sequences)
print(f"neurons zeroed {hooked_mlp.mean():.2%}   z zeroed {hooked_attention.mean():.2%}")
claim("hooks-equal-weights", torch.equal(hooked_mlp, no_mlp) and torch.equal(hooked_attention, no_attention))

# %% [markdown]
# *What* is lost without the neurons? We sort the output tokens by the right answer.

# %%
still = right(I.ablate(model, "post", "zero"), sequences)
by_answer = [still[sequences[:, 9:] == token].double().mean().item() for token in range(4)]
P.show(
    P.bars(by_answer, x=["0", "1", "2", "3"], x_title="right answer", y_title="accuracy",
           title="Neurons zeroed: accuracy by right answer"),
    says="The answers 2 and 3 are right every time; of the answers 0 and 1 a little more than half.",
)  # fmt: skip

# %%
claim("loss-depends-on-the-answer", max(by_answer) - min(by_answer))

# %% [markdown]
# No output falls back to the old token. Some answers survive and others are lost: without the MLP's push, the arc of `05_mlp` misses a part
# of the four regions.
#
# ## Zero, mean, resample
#
# Zero is a strange value: no input ever makes the MLP write zero, so the rest of the model meets something it was never trained for. Two
# kinder replacements:
#
# - **mean ablation**: what the part writes *on average*, output by output. Takes away what it says about the input, keeps the rest.
# - **resample ablation**: what it writes for *another*, random sequence. Every value is one that does occur, but it belongs to another input.
#
# They ask different things (Heimersheim & Nanda 2024). From what we know now, what do we expect? `05_mlp` found that a constant for each output is
# nearly enough, so mean ablation should change almost nothing. A resampled MLP output differs from the constant, so it may hurt a little:

# %%
expected = {
    ("mlp", "zero"): (0.50, 0.80), ("mlp", "mean"): (0.99, 1.0), ("mlp", "resample"): (0.80, 1.0),
    ("attention", "zero"): (0.24, 0.26), ("attention", "mean"): (0.24, 0.26),
    ("attention", "resample"): (0.24, 0.26),
}  # fmt: skip

# %%
measured = {key: by_position(I.ablate(model, *key), sequences).mean().item() for key in expected}
rows = [[part, how, f"{low:.0%} to {high:.0%}", f"{measured[part, how]:.2%}",
         "yes" if low <= round(measured[part, how], 6) <= high else "no"]
        for (part, how), (low, high) in expected.items()]  # fmt: skip
P.table(rows, ["part", "ablation", "expected", "measured", "as expected?"])

# %%
P.show(
    P.bars({part: [measured[part, how] for how in I.HOW] for part in I.PARTS}, x=I.HOW, x_title="what replaces the output",
           y_title="accuracy, all sequences", title="Three kinds of ablation", reference={"chance": 0.25}),
    says="Attention: about one in four, whatever replaces it. The MLP: about two thirds with zero, nearly all with the mean, "
    "about nine tenths with another sequence's value.",
)  # fmt: skip

# %%
claim("mlp-zero", measured["mlp", "zero"])
claim("mlp-mean", measured["mlp", "mean"])
claim("mlp-resample", measured["mlp", "resample"])
claim("attention-any", max(measured["attention", how] for how in I.HOW))

# %% [markdown]
# One expectation fails: attention set to zero does *worse* than chance. Zeroing what attention writes also removes its bias $b_O$, which zeroing $W_O$ above had
# left in place, and $y_0$ then says a wrong token every time.
#
# One part, three ablations, three answers: the MLP is "needed", "hardly needed", "needed a little". None of them is wrong. Zero asks *can the rest do without its
# output?* (no: it counts on the constant push). The mean asks *does the rest need what it says about the input?* (hardly). Resampling asks *does it
# matter whether it belongs to this input?* (a little: the push varies, and a wrong variation carries some points over a border).
#
# ## A control
#
# Does taking away *anything* hurt? A control of the same kind, which should do nothing: the neurons that never fire at an output.

# %%
most = torch.stack([I.record(model, "post", part).amax((0, 1)) for part in sequences.split(8192)]).amax(0)
never = (most == 0).nonzero().flatten()
silence = I.intervene(model, {"post": lambda v, _: v.index_fill(-1, never, 0.0)}, effect=False)
control = by_position(silence, sequences)
print(f"{len(never)} neurons set to zero: {control.mean():.2%}")
claim("control-does-nothing", control.min())

# %% [markdown]
# ## The circuit of this model
#
# All of it together, each arrow with the experiment behind it:

# %%
P.show(
    P.diagram(
        {
            "source<br>x₇₋ᵢ": (0, 0, P.GREY),
            "attention:<br>finds it (04)": (1, 0, P.BLUE),
            "OV: a place<br>on a line (05)": (2, 0, P.BLUE),
            "MLP: a constant<br>push (05, 06)": (2, 1, P.ORANGE),
            "sphere: four<br>regions (05)": (3, 0, P.GREEN),
            "answer<br>yᵢ": (4, 0, P.GREEN),
            "position<br>i": (1, 1, P.SKY),
        },
        [
            ("source<br>x₇₋ᵢ", "attention:<br>finds it (04)", ""),
            ("position<br>i", "attention:<br>finds it (04)", ""),
            ("attention:<br>finds it (04)", "OV: a place<br>on a line (05)", ""),
            ("OV: a place<br>on a line (05)", "sphere: four<br>regions (05)", ""),
            ("MLP: a constant<br>push (05, 06)", "sphere: four<br>regions (05)", ""),
            ("sphere: four<br>regions (05)", "answer<br>yᵢ", ""),
        ],
        title="How seed 0 does it", width=900, height=460, gap=58,
    ),
    says="Attention finds the source by its position. The OV circuit writes the token as a place on a line, already in the "
    "order that the new token needs. The MLP adds a constant push. The last layer norm puts the result on a sphere with four "
    "regions, one for each answer.",
)  # fmt: skip

# %% [markdown]
# In words:
# 1. each token becomes a vector, and its position adds another;
# 2. for $y_1$ to $y_7$ attention looks at the source, for some a part of the time; for $y_0$ it looks at it *or away*, by its value;
# 3. what it writes is a place on a line, one for each token, and this already is the answer's token;
# 4. the MLP pushes each output by nearly the same vector for every input, so that the four places fall into four regions;
# 5. the unembedding names the region.
#
# Compare the natural story: "attention reverses, the MLP adds 1". Both parts are used, and the story is still wrong about
# who does what. The open question of `01_dataset`, is +1 mod 4 really non-linear?, has its answer: not on one-hot tokens, and this model
# does not treat it as if it were.

# %% [markdown]
# ## Over 32 seeds, and on three sets
#
# The article that this series follows zeroed $W_{out}$ and $W_O$ in one model and measured on the tail of the *sorted* list (see
# `01_dataset`): 17.67 % and 29.19 %. It calls the attention figure the more severe, though it is the higher one, and guessed that on the whole distribution the two figures would
# come closer. Every exact seed, on its hold-out, on ours, and on everything:

# %%
zoo = load_zoo("article")
exact = zoo.where(zoo.exact)
sets = {"sorted tail": slice(60_000, None), "our hold-out": T.split(torch.arange(65_536))[1], "everything": slice(None)}


def on_each_set(model, part):
    """Accuracy of each model on each of `sets` with the weights that write `part` zeroed."""
    hit = right(I.ablate(model, part, "zero"), sequences).double().mean(-1)  # [models, sequences]
    return {name: hit[:, rows].mean(1) for name, rows in sets.items()}


no_mlp_zoo, no_attention_zoo = on_each_set(exact, "post"), on_each_set(exact, "z")

# %%
P.show(
    P.strips({f"W_out, {n}": v for n, v in no_mlp_zoo.items()} | {f"W_O, {n}": v for n, v in no_attention_zoo.items()},
             y_title="accuracy", title="W_out or W_O zeroed, one dot for each exact seed",
             reference={"article, W_out": 0.1767, "article, W_O": 0.2919}),
    says="Without W_O the seeds lie near one quarter, or near one third where y0 survives; on the sorted tail they spread from under "
    "a fifth to over four tenths. Without W_out they spread from one quarter to nearly all. The article's two figures are points in "
    "the spread of the sorted tail.",
)  # fmt: skip

# %%
for part, values in (("W_out", no_mlp_zoo), ("W_O", no_attention_zoo)):
    for name, value in values.items():
        print(f"{part:6} {name:13} {value.min():.1%} to {value.max():.1%}, median {value.median():.1%}")
tail_gap = (no_mlp_zoo["sorted tail"] - no_attention_zoo["sorted tail"]).abs().median()
all_gap = (no_mlp_zoo["everything"] - no_attention_zoo["everything"]).abs().median()
closer = ((no_mlp_zoo["everything"] - no_attention_zoo["everything"]).abs()
          < (no_mlp_zoo["sorted tail"] - no_attention_zoo["sorted tail"]).abs()).sum().item()  # fmt: skip
print(f"median gap between the two: sorted tail {tail_gap:.1%}, everything {all_gap:.1%}; smaller in {closer} of {len(exact)}")

# %%
claim("zoo-no-attention-is-chance", abs(no_attention_zoo["everything"] - 0.25).max())
claim("zoo-tail-is-not-chance", no_attention_zoo["sorted tail"].max() - no_attention_zoo["sorted tail"].min())
claim("zoo-mlp-less-severe", (no_mlp_zoo["everything"] > no_attention_zoo["everything"]).sum())
claim("zoo-gap-stays", all_gap)
claim("zoo-no-mlp-range", no_mlp_zoo["everything"].max() - no_mlp_zoo["everything"].min())

# %% [markdown]
# So the article's figures are one draw from a wide distribution, made wider by a biased hold-out. Zeroing $W_O$ does cost more, as the article says
# in words, in nearly every seed; its own figures happened to say the opposite. Its guess, that on the whole distribution the two figures come closer, holds in most seeds, but they do not come close.
#
# ## Zero, mean and resample over the seeds
#
# Seed 0 hardly needs what its MLP says about the input. How many others?

# %%
mlp_kinds = {how: by_position(I.ablate(exact, "mlp", how), sequences).mean(1) for how in I.HOW}
P.show(
    P.strips(mlp_kinds, y_title="accuracy, all sequences", title="The MLP's output replaced, one dot for each exact seed",
             reference={"chance": 0.25}),
    says="All three spread widely from seed to seed. The mean costs least in most of them, and almost nothing in two, seed 0 among them.",
)  # fmt: skip

# %%
constant_enough = (mlp_kinds["mean"] > 0.99).sum().item()
print(f"a constant MLP keeps 99 % of tokens in {constant_enough} of {len(exact)} exact seeds, all of them in "
      f"{(mlp_kinds['mean'] == 1).sum()}; zeroed, the MLP leaves 99 % in {(mlp_kinds['zero'] > 0.99).sum()}")
claim("zoo-constant-mlp", constant_enough)
claim("zoo-seed-0-is-an-exception", mlp_kinds["mean"][0] - mlp_kinds["mean"].median())
claim("zoo-zero-is-harsher", (mlp_kinds["zero"] <= mlp_kinds["mean"]).sum())

# %% [markdown]
# So what `05_mlp` found is true of seed 0 and is an exception: in most seeds the MLP does say something about the input that is needed. Had we stopped at
# one model, the series would have told you something false about the others.
#
# ## Reliance is not necessity
#
# Ablation says what a *trained* model relies on. It is silent about what the task needs: the model had an MLP while it was trained, so it made use of it.
# To learn what the task needs, train without the part. **Your prediction from `01_dataset`:** can a transformer without an MLP learn this task?

# %%
the_task_needs_an_mlp = True  # the natural story, as set in 01

# %%
kinds = {"article": "the article's model", "no_mlp": "without MLP", "no_layernorm": "without layer norm",
         "no_mlp_no_layernorm": "without both"}  # fmt: skip
n_exact = {kind: (n_right(load_zoo(kind), sequences) == T.N_SEQUENCES).sum().item() for kind in kinds}
P.show(
    P.bars([n_exact[kind] for kind in kinds], x=kinds.values(), x_title="trained…", y_title="exact seeds, of 32",
           title="Which models learn the task?"),
    says="Of 32 seeds each, 28 are exact with everything, 29 without the MLP, and all 32 without layer norm, with or without an MLP.",
)  # fmt: skip

# %%
print(n_exact)
claim("no-mlp-learns-it", n_exact["no_mlp"])
claim("linear-mlp-free-learns-it", n_exact["no_mlp_no_layernorm"])

# %% [markdown]
# Without an MLP and without layer norms, everything after the attention pattern is a product of matrices. The task does *not* need a non-linear MLP: +1 mod 4 on
# one-hot tokens is a permutation matrix, as `01_dataset` showed, and the OV circuit can hold one. The prediction was wrong.
#
# ## A task that does need it
#
# XOR did need more than a line. Its relative, one step from our task: $y_i = (x_{7-i} + x_{6-i}) \bmod 4$, the sum of *two* sources. Attention can
# fetch both, but it can only *add* what it fetches, and a sum of two one-hot vectors cannot be turned into a sum mod 4 by a matrix. Both models are wider (`d_model` 16).
# **Predict:** how good can attention alone become? Our guess: it knows which of the four answers are possible, but not which is right.

# %%
predicted_alone = 0.5

# %%
pairs = T.full_sequences(task="sum_pairs")
pair_scores = {name: by_position(load_zoo(kind), pairs).mean(1)
               for kind, name in (("sum_pairs", "with MLP"), ("sum_pairs_no_mlp", "attention only"))}  # fmt: skip
P.show(
    P.strips(pair_scores, y_title="accuracy, all sequences", title="Sum of two tokens mod 4, one dot for each of 32 seeds",
             reference={"chance": 0.25}),
    says="With an MLP seven seeds are at one and the others spread below. With attention alone one seed reaches "
    "seven tenths, and the others stay below six tenths.",
)  # fmt: skip

# %%
solved = (pair_scores["with MLP"] == 1).sum().item()
print(f"with MLP: {solved} of 32 exact, {(pair_scores['with MLP'] > 0.99).sum()} above 99 %; "
      f"attention only: predicted {predicted_alone:.0%}, best {pair_scores['attention only'].max():.1%}, "
      f"median {pair_scores['attention only'].median():.1%}")
claim("pairs-need-the-mlp", pair_scores["attention only"].max())
claim("pairs-with-mlp", solved)

# %% [markdown]
# <details><summary>Why attention alone cannot: XOR again</summary>
#
# Suppose one head looks at both sources with half its weight on each. What it writes is $\frac12(v_a + v_b)$, and the logits are linear in it (but for the last
# layer norm). For the right answer to win, the logit of $c$ must be highest when $a + b = c \bmod 4$. Take $a, b \in \{0, 2\}$: the answer 0 must win for (0,0) and
# (2,2), the answer 2 for (0,2) and (2,0). But $(v_0 + v_0) + (v_2 + v_2) = (v_0 + v_2) + (v_2 + v_0)$: the sums are equal, as in the proof for XOR in
# `01_dataset`. A pattern that depends on the tokens, and the last layer norm, can bend this, which is why some seeds get well above chance, but not to the end.
# </details>
#
# ## The finished circuit, proved
#
# "The output depends on its source and on the token at its own place" is a claim about *all* inputs that can be checked without running them. For $y_0$ the two are one
# token: 4 cases. For each other output 4 × 4. Together 116. In each case all other tokens are allowed to be anything, each on its own, and we ask for the worst
# they can do to the margin between the right logit and the next, by **interval bounds** (`helpers/certificate.py`). If the margin stays
# positive, that case is certain.

# %%
proof = certify(model)
print(f"{proof['n_cases']} cases evaluated, {proof['cases'].sum().item()} certain")
print(f"certificate: at least {proof['n_certain']:,} of 65,536 inputs are right")
print(f"brute force: {n_right(model, sequences).item():,} are")
claim("certificate-cases", proof["n_cases"])
claim("certificate-seed-0", proof["n_certain"])

# %% [markdown]
# Every input of seed 0, from 116 cases. What we understood of it, two tokens matter for each output and the rest is noise, is *enough*
# to prove that it is right. (Gross et al. 2024 do this for larger models, and argue that the length of such a proof measures how much an explanation explains.
# Simpler here: one layer, one head, four dimensions, and rounding errors left out.) A certificate must never claim more than the truth, and where the explanation does not
# fit a model, it must come out weak. The first eight exact seeds:

# %%
certain = [certify(exact.where(torch.arange(len(exact)) == i))["n_certain"] for i in range(8)]
P.show(
    P.bars([c / 65_536 for c in certain], x=[f"seed {s}" for s in exact.seeds[:8]], x_title="", y_title="share of inputs certified",
           title="What the two-token explanation proves, by seed"),
    says="Five of the eight seeds are certified on every input. The other three on a half, three quarters and seven eighths of them.",
)  # fmt: skip

# %%
print({f"seed {s}": c for s, c in zip(exact.seeds, certain)})
claim("certificate-never-over", max(certain))
claim("certificate-full", sum(c == 65_536 for c in certain))

# %% [markdown]
# ## What was shown, and what was not
#
# The whole series as a table. Each row of the claims list was asserted in a cell; here are the ones that answer the article.

# %%
verdicts = [
    ("the data are shuffled before the split", "stated", "not in its code: the tail starts with 3", "none", "5,536", "a tail that does not"),
    ("the attention picture is a reverse diagonal", "yes", "for most rows, of most seeds", f"{len(exact)}", "65,536", "a row elsewhere"),
    ("attention fetches, the MLP adds 1", "yes", "no: in no seed is the source read for half of the tokens before the MLP (05)", f"{len(exact)}", "65,536", "the lens reading the source"),
    ("without W_out little is left", "17.67 %", f"{no_mlp_zoo['everything'].min():.0%} to {no_mlp_zoo['everything'].max():.0%}", f"{len(exact)}", "65,536", "all seeds near the figure"),
    ("without W_O little is left", "29.19 %", f"{no_attention_zoo['everything'].min():.0%} to {no_attention_zoo['everything'].max():.0%}: chance, or y0 kept", f"{len(exact)}", "65,536", "a seed far from one quarter"),
    ("attention is the more severe", "stated, with figures that say the opposite", f"yes, in {(no_mlp_zoo['everything'] > no_attention_zoo['everything']).sum()} seeds", f"{len(exact)}", "65,536", "few such seeds"),
    ("on everything the two would be closer", "guess", f"in {closer} seeds, yet the median gap is {all_gap:.0%} (sorted tail {tail_gap:.0%})", f"{len(exact)}", "65,536", "a larger gap"),
    ("the MLP is needed for +1 mod 4", "yes", f"no: {n_exact['no_mlp']} of 32 are exact without one", "32", "65,536", "none being exact"),
    ("some task needs the MLP", "not asked", f"yes: attention alone at most {pair_scores['attention only'].max():.0%}", "32", "65,536", "one seed solving it"),
    ("two tokens decide each output", "not asked", f"proved for {sum(c == 65_536 for c in certain)} of 8 seeds", "8", "65,536 (by 116 cases)", "a margin below zero"),
]
P.table(verdicts, ["claim", "article", "measured here", "seeds", "inputs", "how it could have failed"])

# %% [markdown]
# Not shown: that larger models work like this one; that 32 seeds of one recipe stand for all ways of training; that seven of eight outputs being simple makes the
# eighth simple. Ablation says what **this trained model relies on**. What a task needs, only training without the part can show.
#
# ## In the end
#
# Our transformer predicts the next token, as a large language model does: it uses attention to bring tokens to where they are needed, adds what it finds to
# the stream, and reads the stream out. With 360 parameters every step could be opened and checked on every input. A large model cannot be listed like this. But the
# habits carry over: say what you expect before you look, change the model to test a picture, ask more than one seed, and write down what was not shown.
#
# ## Where to go next
#
# - Neel Nanda's material on mechanistic interpretability, above all *What is a Transformer?* and his list of open problems.
# - BlueDot's AI Safety course, for which the article was written that this series follows and tests.
# - Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; Nanda et al. 2023, *Progress Measures for Grokking via Mechanistic
#   Interpretability*: a toy model taken apart whole.

# %% [markdown]
# ## Explore
#
# Switch a part off yourself: attention (this model has one head), the MLP, or one neuron; by zero, by its mean, or by its value on another sequence; at all outputs or at
# one. The left panel counts on the hold-out or on all sequences, the right one shows the logits of one sequence. Three things to look for: two neurons that matter, an output at which
# the MLP does not, and what a resampled attention *says*.

# %%
P.show(*E.ablation_figure(model))

# %% tags=["nbval-ignore-output"]
E.explore_ablation(model)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell. The check shows it beside the target, and says what may have
# gone wrong. Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: whose answer?
#
# *★★☆ medium, about 5 minutes.* We let the model read one sequence, and replace what attention writes by what it writes for *another* one. **Predict:** on what share of $y_1 … y_7$ does it now give the answer
# of the other sequence? Give a number between 0 and 1; two hundredths off is near enough.

# %%
my_share = ...

X.check("06-other-sequence", my_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_share = 1.0
# ```
#
# All that these outputs know of the source came through attention, and the MLP adds nearly the same whatever the token. So the
# answer moves with what attention wrote. To patch in another run's value is called **activation patching**.
# </details>

# %% [markdown]
# ### Exercise: a hook for one neuron
#
# *★★☆ medium, about 10 minutes.* Write a function that makes a hook: it sets one neuron to zero, at every position. The hook gets `value` `[batch, position, neuron]`, and a second argument `hook`, which names the
# place; it gives back the new value.

# %%
def my_hook_for(neuron):
    """A hook (value, hook) -> new value."""
    return ...


X.check("06-neuron-hook", my_hook_for)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_hook_for(neuron):
#     def switch_off(value, hook):
#         value = value.clone()
#         value[:, :, neuron] = 0
#         return value
#
#     return switch_off
# ```
#
# The copy leaves the cached value alone. The neuron is the last axis; `value[:, neuron]` would switch a *position* off.
# </details>

# %% [markdown]
# ### Exercise: a hook for mean ablation
#
# *★★★ harder, about 10 minutes.* Write the hook itself: it replaces what attention writes, `value` `[batch, position, d_model]`, by its mean over the batch, position by position.

# %%
def my_mean_hook(value, hook):
    """The new value, with the shape of the old one."""
    return ...


X.check("06-mean-hook", my_mean_hook)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_mean_hook(value, hook):
#     return value.mean(0, keepdim=True).expand_as(value)
# ```
#
# With `keepdim` the mean is `[1, position, d_model]`, and `expand_as` says it again for every sequence of the batch.
# </details>

# %% [markdown]
# ## What you have
#
# - You have switched parts off in place and restored them bit for bit.
# - You have done it with hooks, by zero, by mean and by resampling, with the prediction written first.
# - You have seen that the three answer different questions.
# - You have a circuit, and know which of its parts the task needs and which only the model.
# - You have a proof for all inputs from 116 cases, and a table of what was shown.
