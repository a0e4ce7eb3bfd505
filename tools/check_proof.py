"""Check a proof: `python tools/check_proof.py PROOF.json WEIGHTS.safetensors [KIND/INDEX]`.

KIND/INDEX is one model of a file of many, such as article/3. No code is shared with the search that
wrote the proof; `research/proof.py` explains its terms. It is accepted if its leaves cover every
input at every output, each box bounds what attention adds, and each margin has the sign that its
leaf says. Otherwise the first node that fails is named, and the exit status is 1.
"""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
from mpmath import ctx_iv, mpf
from safetensors.numpy import load_file

iv = ctx_iv.MPIntervalContext()
iv.prec = 96
exactly = np.vectorize(lambda x: iv.mpf(float(x)), otypes=[object])  # an array of intervals
# y_j of n digits is a sum mod 4: of the inputs at some places, and a constant.
RULES = {
    "reverse_plus_one": lambda j, n: ([n - 1 - j], 1),
    "sum_pairs": lambda j, n: ([n - 1 - j, (n - 2 - j) % n], 0),
}


def inverse_of(rows):
    """The inverse [n, n] of intervals [n, n], by elimination: which row comes next is free."""
    n = len(rows)
    both = np.concatenate([rows, exactly(np.eye(n))], 1)
    for i in range(n):
        sizes = [abs(float(mpf(row[i].a)) + float(mpf(row[i].b))) for row in both[i:]]
        k = i + int(np.argmax(sizes))
        both[[i, k]] = both[[k, i]]
        if 0 in both[i, i]:
            raise ZeroDivisionError("the axes may lie in a plane")
        both[i] = both[i] / both[i, i]
        for j in {*range(n)} - {i}:
            both[j] = both[j] - both[i] * both[j, i]
    return both[:, n:]


def ends(x):
    """Floats [..., 2] that hold intervals."""
    low, high = (np.array([float(mpf(e)) for e in side]) for side in zip(*[(i.a, i.b) for i in x]))
    return np.stack([low - 1e-9 * abs(low), high + 1e-9 * abs(high)], -1)


def rms(x):
    return np.sqrt(np.mean(x**2))


class Rounding:
    """How far a program in floats can be off: the sizes of all that it adds up, and their errors.

    Floats themselves; nothing cancels, and a thousandth more is taken for it.
    """

    def __init__(self, model, unit):
        self.w, self.norms, self.u = model.floats, model.norms, unit

    def apply(self, name, x, e):
        A, b = abs(self.w[f"{name}.weight"]), abs(self.w[f"{name}.bias"])
        size = A @ (x + e) + b
        return size, A @ e + (len(x) + 3) * self.u * size

    def divided(self, x, e, size):
        """Errors of x less its mean, and of what a norm divides by, which is about `size`."""
        n, x = len(x), x + e
        off = e + np.mean(e + 3 * (n + 1) * self.u * x) + 2 * self.u * x
        return off, 1.5 * rms(off) + (n + 4) * self.u * size

    def norm(self, name, x, e, centred, size):
        if not self.norms:
            return x, e
        off, root = self.divided(x, e, size)
        ratio = 1.2 * root / size
        if ratio > 0.1:
            raise ValueError("rounding may exceed what a norm divides by")
        scale, bias = abs(self.w[f"{name}.weight"]), abs(self.w[f"{name}.bias"])
        error = (off + (centred + off) * ratio) / size
        read = scale * (centred / size + error) + bias
        return read, scale * error + 3 * self.u * read

    def read(self, position, token):
        """Query, key and value there, as (size, error), and the stream."""
        E, P = self.w["embed.weight"][token], self.w["pos_embed.weight"][position]
        x, centred = abs(E) + abs(P), E + P - np.mean(E + P)
        norm = self.norm("ln1", x, self.u * x, abs(centred), np.sqrt(rms(centred) ** 2 + 1e-5))
        return {part: self.apply(f"attn.{part}", *norm) for part in "qkv"} | {"x": (x, self.u * x)}

    def margins(self, position, own, spread, highest, x1, size1, x2, size2, right):
        u, here, places = self.u, self.read(position, own), range(1, position + 1)
        keys = [self.read(0, 4), *(self.read(p, t) for p in places for t in range(4))]
        (q, eq), n, h = here["q"], position + 1, len(here["q"][0])
        scores = np.array([(k["k"][0] + k["k"][1]) @ (q + eq) for k in keys]) / np.sqrt(h)
        off = np.array([k["k"][1] @ (q + eq) + k["k"][0] @ eq for k in keys]) / np.sqrt(h)
        off = 1.001 * max(off + u * ((h + 4) * scores + 2 * max(scores)))
        share = 1.001 * np.expm1(off) + 4 * u
        v, ev = (np.max([k["v"][i] for k in keys], 0) for i in (0, 1))
        x, e = self.apply("attn.o", v, ev + (2 * n + 8) * u * (v + ev))
        x, e = (1 + 3 * share) * (x + here["x"][0]), e + here["x"][1]
        e = 1.001 * (e + 2 * share * spread / (1 - share) + 2 * u * (x + e))
        if share > 0.2:
            raise ValueError("rounding may change the weights of attention by a fifth")
        if len(highest):
            _, off = self.apply("mlp.in", *self.norm("ln2", x, e, x1, size1))
            on = highest + off > -1e-9
            out, off = self.apply("mlp.out", on * np.maximum(highest, 0), on * off)
            x, e = x + out, 1.001 * (e + off + 2 * u * (x + e + out + off))
        U, scale, bias, off, root = self.w["unembed.weight"], 1.0, 0 * x, e, 0
        if self.norms:
            scale, bias = self.w["ln_final.weight"], self.w["ln_final.bias"]
            off, root = self.divided(x, e, size2)
        rounded = (len(x) + 8) * u * (abs(U) @ (abs(scale) * (x2 + off) + abs(bias) * size2))
        G = U[right] - np.delete(U, right, 0)
        own = rounded[right] + np.delete(rounded, right)
        return 1.001 * (abs(G * scale) @ off + abs(G @ bias) * root + own) + 1e-30


class Model:
    """One model on intervals, for one task of n digits."""

    def __init__(self, w, task, n):
        self.rule, self.n, d = RULES[task], n, w["embed.weight"].shape[1]
        none = {"in.weight": (0, d), "in.bias": 0, "out.weight": (d, 0), "out.bias": d}
        none = {f"mlp.{k}": np.zeros(shape) for k, shape in none.items()}  # an MLP of no neurons
        w = none | {k.removeprefix("blocks.0."): v for k, v in w.items()}
        self.w, self.d, self.norms = {k: exactly(v) for k, v in w.items()}, d, "ln1.weight" in w
        self.floats, self.norm, self.centre = w, {}, exactly(np.eye(d)) - iv.mpf(self.norms) / d
        for name in ("ln1", "ln2", "ln_final"):  # layer norm is W x / size + b
            scale = exactly(w.get(f"{name}.weight", np.ones(d)))[:, None]
            self.norm[name] = scale * self.centre, exactly(w.get(f"{name}.bias", np.zeros(d)))
        self.read, self.adds = cache(self.read), cache(self.adds)

    def answer(self, j, known):
        places, constant = self.rule(j, self.n)
        return (sum(known[k] for k in places) + constant) % 4

    def size(self, x, form=None):
        """What a norm divides x by; `form` is what the squares of its coordinates leave out."""
        square = sum(side**2 for side in x) + (0 if form is None else x @ form @ x)
        return iv.sqrt(abs(square) / self.d + iv.mpf(1e-5)) if self.norms else iv.mpf(1)

    def stream(self, position, token):
        return self.w["embed.weight"][token] + self.w["pos_embed.weight"][position]

    def read(self, part, position, token):
        x, (W, b) = self.stream(position, token), self.norm["ln1"]
        x = W @ x / self.size(self.centre @ x) + b
        return self.w[f"attn.{part}.weight"] @ x + self.w[f"attn.{part}.bias"]

    def adds(self, output, own):
        """What each key adds to (N, D): {(position, token): (vector, number)}."""
        keys = [(0, 4), *((p, t) for p in range(1, self.n + output + 1) for t in range(4))]
        query, W_O = self.read("q", self.n + output, own), self.centre @ self.w["attn.o.weight"]
        scores = [query @ self.read("k", *key) / iv.sqrt(len(query)) for key in keys]
        weights = [iv.exp(s - max(s.b for s in scores)) for s in scores]
        return {key: (W_O @ self.read("v", *key) * a, a) for key, a in zip(keys, weights)}

    def highest(self, values, output, known):
        """At least the largest sum of `values` {(position, token)} over all inputs with `known`."""
        total, tokens = values[0, 4], [known.get(k) for k in range(self.n)]
        tokens = [range(4) if t is None else [t] for t in tokens]
        inputs = [{t: values[k + 1, t] for t in allowed} for k, allowed in enumerate(tokens)]
        for j in range(output):
            places, _ = self.rule(j, self.n)
            free = [k for k in places if k not in known]
            k = (free or places)[0]
            if len(free) > 1:  # any token: more than can happen
                total += max(values[self.n + 1 + j, t].b for t in range(4))
            for t in inputs[k] if len(free) < 2 else ():
                inputs[k][t] += values[self.n + 1 + j, self.answer(j, known | {k: t})]
        return total + sum(max(x.b for x in choices.values()) for choices in inputs)

    def back(self, axes):
        """From coordinates along the axes to vectors without a mean."""
        full = np.concatenate([axes, exactly(np.ones((self.d - len(axes), self.d)))])
        return inverse_of(full)[:, : len(axes)]

    def margins(self, output, own, right, axes, box, unit, spread):
        """The right logit minus each other one, times the last norm's size, on the whole box: at
        least and at most, if each operation rounds by a `unit` of its result."""
        w, U, to = self.w, self.w["unembed.weight"], axes @ self.centre  # to coordinates
        back = self.back(axes)
        eye = exactly(np.eye(len(axes)))
        form = back.T @ back - eye
        x = to @ (self.stream(self.n + output, own) + w["attn.o.bias"]) + box
        divisor = self.size(x, form)
        inverse = 1 / divisor
        (W, b), A, out = self.norm["ln2"], w["mlp.in.weight"], to @ w["mlp.out.weight"]
        A, bias, shift = A @ W @ back, A @ b + w["mlp.in.bias"], to @ w["mlp.out.bias"]
        slopes, rest = exactly(np.zeros((2, len(bias))))  # relu(p) is slope p + rest
        before = A @ x * inverse + bias
        for i, p in enumerate(before):
            s = 0.0 if p.b <= 0 else 1.0 if p.a >= 0 else float(mpf(p.b) / (mpf(p.b) - mpf(p.a)))
            slopes[i], above = iv.mpf(s), max(iv.mpf(0), (-s * p.a).b, ((1 - iv.mpf(s)) * p.b).b)
            rest[i] = s * bias[i] + iv.mpf([0, above])
        steep = out @ (slopes[:, None] * A) * inverse
        y = (eye + steep) @ x + (out @ rest + shift)
        (W, b), G = self.norm["ln_final"], U[right] - np.delete(U, right, 0)
        G, constant = G @ W @ back, G @ b
        size = self.size(y, form)
        margins = (G + G @ steep) @ x + (G @ out) @ rest + G @ shift + constant * size
        if unit:
            centred = [abs(ends(back @ v)).max(-1) for v in (x, y)]
            (smallest, _), (_, largest) = ends([divisor, size])
            highest = ends(before)[:, 1] if len(before) else before
            at = centred[0], smallest, centred[1], largest
            off = Rounding(self, unit).margins(self.n + output, own, spread, highest, *at, right)
            margins += [iv.mpf([-e, e]) for e in off]
        return margins


def check(proof: dict, weights: dict) -> list[int]:
    """Wrong tokens by output, proved of float64 `weights`; ValueError if that does not hold."""
    n, digest = (len(weights["pos_embed.weight"]) - 1) // 2, hashlib.sha256()

    def demand(condition, message):
        if condition is not True:
            raise ValueError(message)

    for name, value in sorted(weights.items()):
        demand(bool(np.isfinite(value).all()), f"{name} is not finite")
        digest.update(f"{name}{value.shape}".encode() + value.astype("<f8").tobytes())
    given = proof["format"], proof["version"], proof["length"], proof["weights"], len(proof["tree"])
    wanted = "proof by balls", 2, n, digest.hexdigest(), n
    demand(given == wanted, f"it is {given}; allowed is {wanted}")
    demand(proof["unit"] in (0, 2**-53, 2**-24), f"its unit is {proof['unit']}")
    if proof["unit"] == 2**-24:
        weights = {k: v.astype(np.float32).astype(float) for k, v in weights.items()}
    model, wrong = Model(weights, proof["task"], n), [0] * n

    def floats(rows, columns, n_rows=None):
        array = np.array([[float.fromhex(x) for x in row] for row in rows])
        shape = (n_rows or model.d - model.norms, columns)
        demand(array.shape == shape and bool(np.isfinite(array).all()), f"no floats {shape}")
        return exactly(array)

    def leaf(node, output, known, axes):
        own = model.answer(output - 1, known) if output else known[n - 1]
        right, adds = model.answer(output, known), model.adds(output, own)
        axes, box = floats(axes, model.d), floats(node["box"], 2)
        for axis, (low, high) in zip(axes, box):
            for u, r in ((axis, high), (-axis, -low)):
                values = {key: u @ N - r * D for key, (N, D) in adds.items()}
                demand(model.highest(values, output, known) <= 0, f"{r} is no bound")
        box = np.array([iv.mpf([low.a, high.b]) for low, high in box])
        spread = None
        if proof["unit"]:
            spread = floats(node["spread"], model.d, 1)[0]
            middle = model.back(axes) @ [(x.a + x.b) / 2 for x in box]
            for j, r in enumerate(spread):
                far = {key: abs(N[j] - D * middle[j]) - r * D for key, (N, D) in adds.items()}
                demand(model.highest(far, output, known) <= 0, f"{r} is no bound")
            spread = ends(spread)[:, 1]
        margins = model.margins(output, own, right, axes, box, proof["unit"], spread)
        verdict = node["verdict"]
        signs = {"right": all(m.a > 0 for m in margins), "wrong": any(m.b < 0 for m in margins)}
        demand(signs[verdict], f"not shown to be {verdict}")
        wrong[output] += 4 ** (n - len(known)) if verdict == "wrong" else 0

    def walk(node, output, known, axes):
        try:
            axes = node.get("axes", axes)
            if not node["nodes"]:
                return leaf(node, output, known, axes)
            demand(node["asks"] in {*range(n)} - {*known}, f"asks for x{node['asks']}")
            demand(len(node["nodes"]) == 4, f"has {len(node['nodes'])} children in place of 4")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            where = ", ".join([f"y{output}", *(f"x{k} = {t}" for k, t in known.items())])
            raise ValueError(f"at the node {where}: {error!r}") from None
        for token, child in enumerate(node["nodes"]):
            walk(child, output, known | {node["asks"]: token}, axes)

    for output, root in enumerate(proof["tree"]):
        walk(root, output, {}, None)
    demand(proof["wrong"] == wrong, f"says that {proof['wrong']} are wrong; proved are {wrong}")
    return wrong


if __name__ == "__main__":
    try:
        proof, tensors = json.loads(Path(sys.argv[1]).read_text("utf-8")), load_file(sys.argv[2])
        for kind, index in [which.split("/") for which in sys.argv[3:]]:
            own = [name for name in tensors if name.startswith(f"{kind}/")]
            tensors = {k.removeprefix(f"{kind}/"): tensors[k][int(index)] for k in own}
        wrong = check(proof, tensors)
    except (ValueError, OSError, LookupError, TypeError, AttributeError) as error:
        sys.exit(f"refused: {error}")
    found = f"wrong tokens by output {wrong}, of" if any(wrong) else "right on"
    print(f"accepted: {proof['task']}, {found} all {4 ** len(wrong):,} inputs")
