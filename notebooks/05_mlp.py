# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/05_mlp.ipynb)

# %% [markdown]
# # 5 · What the MLP does
#
# The natural story says: attention fetches the source, the MLP adds 1. If that is so, the residual stream just before the
# MLP holds the *old* token and just after it the new one. The stream can be read at both places.
#
# **You will**
# - read the stream before and after the MLP, in the right way and in a common wrong way;
# - count over all sequences what each reading gets right;
# - find how much of the +1 is already in attention;
# - see what the sixteen neurons do, and draw their work whole;
# - split the logits into what each part wrote, and ask the other seeds.
#
# **Time:** about 40 minutes. **You should know:** residual stream, layer norm and logits (`02_transformer`).
# **Before this:** `04_attention`. **Next:** `06_ablation`.

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
from helpers.claims import claim
from helpers.model import load_trained, load_zoo
from helpers.training import by_position, n_right

torch.set_grad_enabled(False)
model = load_trained()
sequences = T.full_sequences()
claim("exact-05", n_right(model, sequences))

# %% [markdown]
# ## Reading the stream early
#
# The **logit lens** (nostalgebraist 2020) asks: if the model had to answer now, what would it say? It takes the stream at some
# point and applies what normally comes at the end: the last layer norm, then $W_U$.

# %%
def logit_lens(stream):
    """Logits from a residual stream [..., d_model], read out as the model reads its last one."""
    return model.ln_final(stream) @ model.W_U


_, cache = model.run_with_cache(sequences[:, :16])
before, after = cache["resid_mid", 0][:, 8:], cache["resid_post", 0][:, 8:]
print("before the MLP", tuple(before.shape), " after", tuple(after.shape))

# %% [markdown]
# One sequence, output by output: the source token, the right answer, and both readings.

# %%
example = 12345
rows = []
for i in range(8):
    source, right = sequences[example, 8 - i].item(), sequences[example, 9 + i].item()
    p, q = (logit_lens(s[example, i]).softmax(-1) for s in (before, after))
    percent = [[f"{v:.0%}" for v in r.tolist()[:4]] for r in (p, q)]
    rows.append([T.OUTPUT_NAMES[i], source, right, " ".join(percent[0]), p.argmax().item(),
                 " ".join(percent[1]), q.argmax().item()])  # fmt: skip
P.table(rows, ["output", "source", "right", "before: p(0) p(1) p(2) p(3)", "says", "after: p(0) p(1) p(2) p(3)", "says"])

# %% [markdown]
# **Before you count:** over all sequences, how often does the reading before the MLP give the *source* token, as the natural
# story says? And how often the right answer?

# %%
predicted = {"source token": 1.0, "right answer": 0.0}  # the natural story

# %%
answers, sources = sequences[:, 9:], sequences[:, 1:9].flip(1)
says_before, says_after = logit_lens(before).argmax(-1), logit_lens(after).argmax(-1)
measured = {
    "source token": (says_before == sources).double().mean(0),
    "right answer": (says_before == answers).double().mean(0),
}
P.show(
    P.bars(measured, y_title="share of all sequences", title="The stream before the MLP, read with the logit lens",
           reference={"chance": 0.25}),
    says="Before the MLP the source token is hardly ever read at any output. The right answer is read in one half to "
    "three quarters of the sequences.",
)  # fmt: skip

# %%
for what, share in measured.items():
    print(f"{what}: predicted {predicted[what]:.0%}, measured {share.mean():.2%}")
claim("before-mlp-not-the-source", measured["source token"].mean())
claim("before-mlp-often-right", measured["right answer"].mean())
claim("after-mlp-always-right", (says_after == answers).double().mean())

# %% [markdown]
# The natural story fails here. Before the MLP the stream does not hold the old token. It holds the *new* one in most cases. In this
# model attention does the +1, or most of it.
#
# <details><summary>A shortcut that is often taken</summary>
#
# Some texts, among them the article that this series follows, multiply the stream with $W_U$ and leave the last layer norm out.
# The layer norm has a weight and a bias for each dimension, and takes the mean away, so this is the answer of another model:
# </details>

# %%
shortcut = (before @ model.W_U).argmax(-1)
differ = (shortcut != says_before).double().mean()
print(f"right before the MLP: lens {measured['right answer'].mean():.2%}, "
      f"shortcut {(shortcut == answers).double().mean():.2%}")  # fmt: skip
print(f"the two readings differ on {differ:.1%} of all tokens")
claim("shortcut-differs", differ)

# %% [markdown]
# ## How much of the +1 is in attention?
#
# The head writes $W_V W_O$ of what it reads. From token to token that is the **OV circuit** (Elhage et al. 2021): which logits
# does attending to a token raise? The layer norms at both ends must be handled. At the input we take the exact normalised vector of each
# token, averaged over the positions $x_0 … x_7$. At the output we leave out the last layer norm's division, which scales all logits alike,
# and keep its weight; then we subtract each row's mean, because a softmax does not see it.

# %%
stream = model.W_E[:4, None] + model.W_pos[1:9]  # [token, position, d_model]
bos = (model.W_E[T.BOS] + model.W_pos[0])[None]  # BOS stands at position 0 only
read = torch.cat([model.blocks[0].ln1(stream).mean(1), model.blocks[0].ln1(bos)])
attention = model.blocks[0].attn
written = (read @ attention.W_V[0] + attention.b_V[0]) @ attention.W_O[0]
centred = written - written.mean(-1, keepdim=True)
ov = (centred * model.ln_final.weight) @ model.W_U
ov = ov - ov[:, :4].mean(1, keepdim=True)
ov = ov - ov[:4].mean(0)  # against the average digit

# %%
tokens = ["0", "1", "2", "3", "BOS"]
P.show(
    P.heatmap(ov, x=tokens, y=tokens, signed=True, text=True, x_title="logit of the next token",
              y_title="token attended to", title="The OV circuit, token to token", unit="logit"),
    says="The rows look like one another, up to a factor and a sign: all attention can do is to push along one "
    "direction, far one way for token 1, far the other way for token 2, and less far for 3, 0 and BOS.",
)  # fmt: skip

# %%
singular = torch.linalg.svdvals(written[:4] - written[:4].mean(0))
print("sizes of its directions:", [f"{s:.2f}" for s in singular.tolist()])
claim("ov-is-one-direction", singular[0].square() / singular.square().sum())

# %% [markdown]
# <details><summary>What did you see?</summary>
#
# The table is not the permutation matrix of `01_dataset`. It is close to rank one: what attention writes lies on a *line*. The four digits are
# four places on it, in the order 2, 0, 3, 1. A stream that moves along a line can still give four answers, since the last layer norm puts it on a sphere: a line
# added to a fixed vector becomes an arc, and an arc can pass through four regions.
# </details>
#
# ## The sphere before and after
#
# What the unembedding reads lies on a sphere in three dimensions (`02_transformer`), so we can look at *all* of it. Each point is the
# stream at one output of one sequence, coloured by the right answer, before the MLP:

# %%
some = torch.arange(0, 65536, 1031)  # every 1,031st sequence: 64 of them, 512 points
directions = {f"→ {t}": 2.6 * P.to_3d(u - u.mean()) / float((u - u.mean()).norm())
              for t, u in enumerate((model.ln_final.weight[:, None] * model.W_U).T[:4])}  # fmt: skip


def sphere(stream, title, says):
    """Draw normalised streams, coloured by the right answer, with the four reading directions."""
    centred = stream[some] - stream[some].mean(-1, keepdim=True)
    points = P.to_3d(2 * centred / centred.norm(dim=-1, keepdim=True)).reshape(-1, 3)
    right = answers[some].flatten().numpy()
    groups = {f"answer {t}": points[right == t] for t in range(4)}
    colours = dict(zip([*groups, *directions], P.TOKEN_COLOURS[:4] * 2))
    P.show(P.scatter3d(groups, colours=colours, arrows=directions, sizes=3, title=title), says=says)


sphere(before, "Before the MLP (turn it)",
       "Before the MLP the colours lie in bands on the sphere, but many points are nearer to the arrow of another "
       "answer than to their own.")  # fmt: skip

# %%
sphere(after, "After the MLP (turn it)",
       "After the MLP the points have moved, and each lies on the side of its own answer's arrow.")  # fmt: skip

# %% [markdown]
# ## What the MLP adds
#
# The MLP writes a vector. How much does it depend on the input? **Before you run this:** for each output we replace what the MLP writes by one
# and the same vector, its mean over all sequences. If the MLP computes the +1 from the token, accuracy must collapse.

# %%
mlp_out = cache["mlp_out", 0][:, 8:]
predicted_constant = 0.25

# %%
constant = by_position(I.ablate(model, "mlp", how="mean"), sequences)
one_for_all = mlp_out.mean((0, 1))
single = by_position(I.intervene(model, {"mlp_out": lambda v, _: one_for_all.expand_as(v)}), sequences)
P.show(
    P.bars({"a constant for each output": constant, "one constant for all": single},
           y_title="accuracy, all sequences", title="The MLP replaced by constants", reference={"chance": 0.25}),
    says="With a constant for each output y1 to y7 stay right on every sequence and y0 nearly always. With one constant "
    "for all of them y2 and y7 fall to a half, the others stay.",
)  # fmt: skip

# %%
print(f"predicted {predicted_constant:.0%}, measured {constant.mean():.2%} and {single.mean():.2%}")
claim("constant-mlp-is-enough", constant[1:].min())
claim("constant-mlp-y0", constant[0])
claim("one-constant-is-not-enough", single.min())

# %% [markdown]
# **At seven outputs it stays right on every input.** The MLP needs to know *where* it is, but hardly *what token* there is: sixteen neurons do the work of a
# bias for each position. It shifts the arc; the tokens are told apart by attention. This was a surprise to us too. Is it this seed only?
# `06_ablation` asks the others.
#
# ## The neurons
#
# When does each fire (on which share of all sequences), output by output?

# %%
fires = (cache["post", 0][:, 8:] > 0).double().mean(0)  # [8, 16]
P.show(
    P.heatmap(fires, x=[str(n) for n in range(16)], x_title="neuron", y_title="output", top=1,
              unit="share", title="How often each neuron fires"),
    says="Thirteen of the sixteen neurons never fire at the outputs. Two fire often, least at y3 to y5; a third fires sometimes at "
    "y2 and y7. At y6 none fires at all.",
)  # fmt: skip

# %%
without = []
for neuron in range(16):
    if fires[:, neuron].max() == 0:
        without.append(1.0)  # it never fires at an output: nothing to take away
        continue
    without.append(by_position(I.ablate(model, "post", neurons=[neuron]), sequences).mean().item())
P.show(
    P.bars(without, x=[str(n) for n in range(16)], x_title="neuron set to zero",
           y_title="accuracy, all sequences", title="What happens without each neuron"),
    says="Accuracy falls clearly without neuron 5 or neuron 10, a little without neuron 8, and not at all without any other.",
)  # fmt: skip

# %%
active = [n for n in range(16) if fires[:, n].max() > 0]
out = model.W_out[0][active]
pushes = ((out - out.mean(-1, keepdim=True)) * model.ln_final.weight) @ model.W_U
P.show(
    P.heatmap(pushes[:, :4], x=["0", "1", "2", "3"], y=[f"neuron {n}" for n in active], signed=True, text=True,
              x_title="logit of the next token", y_title="", unit="logit", title="What each firing neuron writes"),
    says="Neuron 5 speaks for 1 and against 2, neuron 8 a little against 3, neuron 10 for 3 and against 2.",
)  # fmt: skip

# %%
silent_neurons = (fires.max(0).values == 0).sum().item()
print("neurons that never fire at an output:", silent_neurons)
claim("neurons-never-fire", silent_neurons)
claim("y6-mlp-is-constant", fires[6].max())
claim("some-neuron-matters", min(without))

# %% [markdown]
# ## Who writes the right answer?
#
# The logits are linear in the stream once the last layer norm's divisor is known. So they split, exactly, into what the
# embedding, the position, attention and the MLP wrote: **direct logit attribution**.

# %%
parts = {
    "embedding": model.W_E[sequences[:, 8:16]],
    "position": model.W_pos[8:16].expand(len(sequences), 8, 4),
    "attention": cache["attn_out", 0][:, 8:],
    "mlp": mlp_out,
}
scale = (after.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()


def attribution(part):
    """What `part` [..., d_model] adds to the logits, the last divisor taken as it was."""
    return ((part - part.mean(-1, keepdim=True)) / scale * model.ln_final.weight) @ model.W_U


added = {name: attribution(part) for name, part in parts.items()}
constant_part = model.ln_final.bias @ model.W_U
total = sum(added.values()) + constant_part
claim("attribution-sums", (total - logit_lens(after)).abs().max())

# %% [markdown]
# What each part adds to the *right* logit, compared with the average of the four digits:

# %%
def for_the_right(values):
    """Mean over all sequences of (right logit - mean of the digits' logits), by output: [8]."""
    return (values.gather(-1, answers[..., None])[..., 0] - values[..., :4].mean(-1)).mean(0)


P.show(
    P.bars({name: for_the_right(value) for name, value in added.items()}, y_title="logit",
           title="Direct logit attribution to the right answer"),
    says="At every output attention adds by far the most to the right logit, between 12 and 22. The MLP adds 1 to 6. The "
    "embedding adds almost nothing, and the position sometimes speaks against.",
)  # fmt: skip

# %%
shares = {name: for_the_right(value).mean().item() for name, value in added.items()}
for name, value in shares.items():
    print(f"{name:10} {value:+.2f}")
claim("attention-adds-most", shares["attention"] / sum(shares.values()))

# %% [markdown]
# ## Over 32 seeds
#
# Is "attention does the +1" a fact about seed 0? For every exact seed: how often does the stream before the MLP give the right answer, and how
# often the un-incremented source? **Predict** before you look.

# %%
def before_the_mlp(kind):
    """Shares of (right, source token) read before the MLP, for each exact seed: two [models]."""
    zoo = load_zoo(kind)
    zoo = zoo.where(zoo.exact)
    silent = I.intervene(zoo, {"mlp_out": lambda v, _: torch.zeros_like(v)})  # then the lens reads resid_mid
    hits = torch.zeros(2, len(zoo))
    for part in sequences.split(2048):
        says = silent(part).argmax(-1)
        hits += torch.stack([(says == part[:, 9:]).sum((1, 2)), (says == part[:, 1:9].flip(1)).sum((1, 2))])
    return zoo.seeds, hits / (8 * len(sequences))


seeds, (right_small, source_small) = before_the_mlp("article")
default_seeds, (right_default, source_default) = before_the_mlp("article_default_init")

# %%
P.show(
    P.strips({"right, small start": right_small, "source, small start": source_small,
              "right, library's start": right_default, "source, library's start": source_default},
             y_title="share of all tokens", title="Read before the MLP, one dot for each exact seed",
             reference={"chance": 0.25}),
    says="From a small start the right answer is read for a quarter to nine tenths of the tokens, the source for none to a "
    "quarter. From the library's start the right answer for a quarter to three quarters, the source for none to a half.",
)  # fmt: skip

# %%
for name, value in {"right, small start": right_small, "source, small start": source_small,
                    "right, library's start": right_default, "source, library's start": source_default}.items():  # fmt: skip
    print(f"{name:24} {value.min():.0%} to {value.max():.0%}, median {value.median():.0%} ({len(value)} seeds)")
both = torch.cat([source_small, source_default])
claim("zoo-source-before-mlp", both.max())
claim("zoo-right-before-mlp", (right_small > 0.5).sum())

# %% [markdown]
# ## Explore
#
# What a sequence looks like at one output can be told in three words: which **output** it is, its **source token**, and the **own token**, the one that
# stands at the place where the output is predicted ($x_7$ for $y_0$, else the output before). The figure shows one such case: the probabilities read before and after the MLP, in the mean over
# all sequences of that case. With a running kernel, slide along the cases. Where is the MLP needed? Does the own token ever matter?

# %%
P.show(*E.case_figure(model))

# %% tags=["nbval-ignore-output"]
E.explore_cases(model)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell. The check shows it beside the target, and says what may have
# gone wrong. Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: how many cases?
#
# *★☆☆ easy, about 5 minutes.* A case is an output, its source token and its own token. **Predict:** how many different cases occur in all 65,536 sequences?
# Mind $y_0$.

# %%
my_cases = ...

X.check("05-cases", my_cases)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# y0 = 4
# the_others = 7 * 4 * 4
# my_cases = y0 + the_others
# ```
#
# $y_0$ is predicted at the place of its source, so both tokens are the same one. Elsewhere all pairs occur.
# </details>

# %% [markdown]
# ### Exercise: the OV circuit
#
# *★★☆ medium, about 10 minutes.* Which logits does attending to a token raise? Leave the layer norms and biases out, and write the table `[token, logit]` from the rows `E` `[token, d_model]`
# that are read, and the matrices `W_V`, `W_O`, `W_U`.

# %%
def my_ov(E, W_V, W_O, W_U):
    """Logits [token attended to, next token]."""
    return ...


X.check("05-ov", my_ov)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_ov(E, W_V, W_O, W_U):
#     return E @ W_V @ W_O @ W_U
# ```
#
# Read from left to right: what is read, what is handed over, what is written, which logits that raises.
# </details>

# %% [markdown]
# ## What you have
#
# - You have read the stream before and after the MLP, with the logit lens and with the shortcut.
# - You have counted: before the MLP the source token is hardly ever there, the right answer often.
# - You have found that attention writes along one direction, and that it carries the +1.
# - You have split the logits exactly, and asked the other seeds.
# - You have seen that in this model the MLP can be replaced by a constant for each output, nearly without loss.
#
# **Open:** what does taking a part away really show? **Next:** `06_ablation`.
