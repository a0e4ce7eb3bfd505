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
# - put the circuit together, and say what was shown and what was not.
#
# **Time:** about 35 minutes. **You should know:** `04_attention` and `05_mlp`.
# **Before this:** `05_mlp`.

# %% tags=["setup"]
import importlib.util, subprocess, sys  # does nothing where the series is at hand, as in JupyterLab
sys.path[:0] = ["..", "series"]
if importlib.util.find_spec("helpers") is None and subprocess.run(["git", "clone", "-q", "--depth=1", "https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability", "series"]).returncode:
    raise SystemExit("The series could not be fetched from https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability: check the address and the network.")
import helpers.colab; helpers.colab.install_missing()

# %%
import torch

from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.claims import claim
from helpers.model import load_trained
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

# ZOO-06

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
        title="How seed 0 does it", width=900, height=340, gap=62,
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
#
# ## What was shown, and what was not
#
# Shown, on all 65,536 inputs, for one model (seed 0, fixed beforehand): it is exact; the ideal reversal is enough for seven outputs and not for the
# eighth; the +1 is in the OV circuit; a constant for each output can stand in for the MLP, nearly without loss.
#
# Not shown: that other models do the same, or that the *task* needs this or that part. Ablation says what **this trained model relies on**. What a
# task needs, only training without the part can show.
#
# ## Where to go next
#
# - Neel Nanda's material on mechanistic interpretability, above all *What is a Transformer?* and his list of open problems.
# - BlueDot's AI Safety course, for which the article was written that this series follows and tests.
# - Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; Nanda et al. 2023, *Progress Measures for Grokking via Mechanistic
#   Interpretability*: a toy model taken apart whole.
#
# ## What you have
#
# - You have switched parts off in place and restored them bit for bit.
# - You have done it with hooks, by zero, by mean and by resampling, with the prediction written first.
# - You have seen that the three answer different questions.
# - You have a circuit, and a list of what it does not show.
