"""How far a program that computes a model in floats can be from the function that is proved.

Any program will do that takes the steps of `helpers.model.forward`, whatever the order of its sums:
each + - * / and root is off by at most `unit` of its result (2^-53 in float64, 2^-24 in float32,
whose numbers the weights are) or by `TINY` where that is too small for a float; exp by at most four
units. Softmax takes the largest score away first. Layer norm takes the mean away before it squares
(or keeps a running mean, as Welford does), and divides or multiplies. A sum of n products is then
off by less than (n + 3) units of the sum of their sizes, in any order (Higham 2002, Accuracy and
Stability of Numerical Algorithms, chapters 3 and 4). The roundings were counted by hand.

Every number here is the size of something or a bound of its error, so nothing cancels, and `MORE`
covers the rounding of this file itself.
"""

import numpy as np

from helpers import task
from helpers.model import LN_EPS

TINY, MORE = 2.0**-120, 1.001


class Rounding:
    """The errors of one model with `weights` (name -> array) at one `unit`."""

    def __init__(self, weights, unit):
        self.w, self.u = weights, unit
        self.norms = "ln_final.weight" in weights
        E, P = (self.w[f"{name}.weight"] for name in ("embed", "pos_embed"))
        stream = P[:, None] + E  # [position, token, d_model]
        self.x = abs(P)[:, None] + abs(E)
        self.e = self.u * self.x + TINY
        centred = stream - stream.mean(-1, keepdims=True)
        size = np.sqrt((centred**2).mean(-1) + LN_EPS) / MORE
        norm = self.norm("blocks.0.ln1", self.x, self.e, abs(centred), size)
        self.reads = {part: self.linear(f"blocks.0.attn.{part}", *norm) for part in "qkv"}

    def linear(self, name, x, e):
        """(size, error) of a matrix times a vector of size x with the error e, plus a bias."""
        matrix, bias = abs(self.w[f"{name}.weight"]).T, abs(self.w.get(f"{name}.bias", 0.0))
        size = (x + e) @ matrix + bias
        return MORE * size, MORE * (e @ matrix + (len(matrix) + 3) * self.u * size) + TINY

    def norm(self, name, x, e, centred, size):
        """(size, error) behind a layer norm that reads a vector of size x with the error e, whose
        part without the mean has the size `centred`; it divides by at least `size`."""
        if not self.norms:
            return x, e
        size = np.asarray(size)[..., None]
        off, near = self.divided(x, e, size)
        ratio = 1.2 * near / size
        if (ratio > 0.1).any():
            return x + np.inf, e + np.inf
        e = MORE * (off + (centred + off) * ratio) / size
        scale, bias = (abs(self.w[f"{name}.{part}"]) for part in ("weight", "bias"))
        read = scale * (centred / size + e) + bias
        return MORE * read, MORE * (scale * e + 3 * self.u * read) + TINY

    def divided(self, x, e, size):
        """By how much a layer norm errs in what it divides, and in what it divides by."""
        n, x = x.shape[-1], x + e
        off = e + (e + 3 * (n + 1) * self.u * x).mean(-1, keepdims=True) + 2 * self.u * x + TINY
        # A root of a mean square moves by no more than that of what is added; where the squares are
        # of distances to a running mean, by half as much again.
        near = 1.5 * np.sqrt((off**2).mean(-1, keepdims=True))
        return off, near + (n + 4) * self.u * size

    def attention(self, position, token, spread):
        """(size, error) of the stream `[d_model]` behind attention, at a position where `token`
        stands. Whatever it looks at, it writes a mean of what the keys offer; `spread` `[d_model]`:
        the most that these lie, in that mean, from one of their places."""
        q, eq = (value[position, token] for value in self.reads["q"])
        n, h = position + 1, len(q)
        k, ek, v, ev = (  # BOS stands at no other place than the first
            np.concatenate([read[0, task.BOS :], read[1:n, : task.DIGITS].reshape(-1, h)])
            for part in "kv"
            for read in self.reads[part]
        )
        scores = k @ (q + eq) / np.sqrt(h)
        error = (ek @ (q + eq) + k @ eq) / np.sqrt(h)
        error = error + self.u * ((h + 4) * scores + 2 * scores.max())
        share = MORE * np.expm1(MORE * error.max()) + 4 * self.u  # of each weight, before the sum
        z = v.max(0)
        ez = ev.max(0) + (2 * n + 8) * self.u * (z + ev.max(0)) + n * TINY
        x, e = self.linear("blocks.0.attn.o", z, MORE * ez)
        x, e = x + self.x[position, token], e + self.e[position, token]
        if share > 0.2:
            return x, e + np.inf
        x = (1 + 3 * share) * x  # `spread` is of what is left without the mean
        return x, MORE * (e + 2 * share * spread / (1 - share) + 2 * self.u * (x + e)) + TINY

    def neurons(self, x, e, centred, size, highest):
        """(size, error) of the stream behind the MLP, which reads x through a layer norm; `highest`
        `[d_mlp]`: the most that a neuron can reach. One that stays off has no error."""
        read = self.norm("blocks.0.ln2", x, e, centred, size)
        _, error = self.linear("blocks.0.mlp.in", *read)
        on = highest + error > 0
        post = np.where(on, [np.maximum(highest, 0), error], 0)
        out, eout = self.linear("blocks.0.mlp.out", *post)
        return x + out, MORE * (e + eout + 2 * self.u * (x + e + out + eout)) + TINY

    def margins(self, x, e, centred, size, right, others):
        """How far the right logit less each other one can be off, times what the last layer norm
        divides by, which is at most `size`."""
        U, n, one, bias = self.w["unembed.weight"], len(x), np.ones(len(x)), np.zeros(len(x))
        off, near = self.divided(x, e, size) if self.norms else (e, 0.0)
        if self.norms:
            one, bias = self.w["ln_final.weight"], self.w["ln_final.bias"]
        own = (n + 8) * self.u * (abs(U) @ (abs(one) * (centred + off) + abs(bias) * size)) + TINY
        G = U[right] - U[others]
        return MORE * (abs(G * one) @ off + abs(G @ bias) * near + own[right] + own[others])
