/** The model: one layer, 360 numbers, computed as `forward` in helpers/model.py does it. */

export const LENGTH = 8; // digits in, and digits out
export const DIGITS = 4;
export const INPUTS = DIGITS ** LENGTH; // 65,536
export const D = 4; // numbers in the stream; d_model and d_head
const [BOS, VOCAB] = [4, 5]; // begin of sequence is the fifth token
const HIDDEN = 16; // neurons of the MLP
const KEYS = 2 * LENGTH; // positions that can be looked at

export const times = (n, made) => Array.from({ length: n }, (_, i) => made(i));
export const vector = (n = D) => new Float64Array(n);
export const sum = (values) => values.reduce((a, b) => a + b);
const vectors = (names, n = D) =>
  Object.fromEntries(names.map((name) => [name, vector(n)]));

/** Numbers in the weight and in the bias of each layer, in the order of helpers.model.shapes. */
const LAYERS = {
  ...{ embed: [VOCAB * D, 0], position: [(KEYS + 1) * D, 0], norm1: [D, D] },
  ...{ q: [D * D, D], k: [D * D, D], v: [D * D, D], o: [D * D, D] },
  ...{ norm2: [D, D], in: [HIDDEN * D, HIDDEN], out: [D * HIDDEN, D] },
  ...{ normFinal: [D, D], unembed: [VOCAB * D, 0] },
};
export const SIZE = sum(Object.values(LAYERS).flat()); // 360

/** The layers { weight, bias } in a flat array of 360 numbers: views, not copies. */
export function layersOf(flat) {
  let start = 0;
  const next = (size) => flat.subarray(start, (start += size));
  const parts = Object.entries(LAYERS).map(([name, [weight, bias]]) => {
    return [name, { weight: next(weight), bias: next(bias) }];
  });
  return Object.fromEntries(parts);
}

/** What is computed of each token at each position: rows[position][token]. */
export function makeRows() {
  const names = ["stream", "q", "k", "v"];
  const row = () => ({ ...vectors(names), norm: makeNorm() });
  return times(KEYS, () => times(VOCAB, row));
}

const makeNorm = () => ({ hat: vector(), out: vector(), inverse: 0 });

/** out = weight x + bias; a weight is [out, in], as in torch. */
function linear(out, { weight, bias }, x) {
  for (let r = 0, at = 0; r < out.length; r++) {
    let sum = bias.length ? bias[r] : 0;
    for (let c = 0; c < x.length; c++, at++) sum += weight[at] * x[c];
    out[r] = sum;
  }
}

/** hat = x less its mean, divided by its size; out = weight hat + bias. */
function layerNorm(norm, { weight, bias }, x) {
  let [mean, variance] = [0, 0];
  for (let d = 0; d < D; d++) mean += x[d] / D;
  for (let d = 0; d < D; d++) variance += ((x[d] - mean) * (x[d] - mean)) / D;
  norm.inverse = 1 / Math.sqrt(variance + 1e-5);
  for (let d = 0; d < D; d++) {
    norm.hat[d] = (x[d] - mean) * norm.inverse;
    norm.out[d] = weight[d] * norm.hat[d] + bias[d];
  }
}

/** The first n values become shares that add up to 1; returns the log of what they were divided by. */
export function softmax(values, n) {
  let [top, total] = [-Infinity, 0];
  for (let i = 0; i < n; i++) top = Math.max(top, values[i]);
  for (let i = 0; i < n; i++) total += values[i] = Math.exp(values[i] - top);
  for (let i = 0; i < n; i++) values[i] /= total;
  return top + Math.log(total);
}

export function dot(a, b) {
  let sum = 0;
  for (let d = 0; d < a.length; d++) sum += a[d] * b[d];
  return sum;
}

export function add(to, share, values) {
  for (let d = 0; d < to.length; d++) to[d] += share * values[d];
}

/** Where the largest number is. */
export function highest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++)
    best = values[i] > values[best] ? i : best;
  return best;
}

/** What a table of vectors has for a token, or for a position. */
export const part = ({ weight }, i) => weight.subarray(i * D, i * D + D);

export class Model {
  constructor(weights) {
    this.weights = Float64Array.from(weights);
    this.layers = layersOf(this.weights);
    this.rows = makeRows();
    // What the last call of `answer` came by, for whoever wants to look.
    this.run = {
      ...vectors(["z", "written", "stream", "pushed"]),
      ...{ pattern: vector(KEYS), hidden: vector(HIDDEN) },
      ...{ logits: vector(VOCAB), norm2: makeNorm(), final: makeNorm() },
    };
    this.fillRows();
  }

  /** Once more after each change of the weights. */
  fillRows() {
    const { embed, position, norm1, q, k, v } = this.layers;
    for (const [p, row] of this.rows.entries()) {
      for (const [token, here] of row.entries()) {
        here.stream.set(part(embed, token));
        add(here.stream, 1, part(position, p));
        layerNorm(here.norm, norm1, here.stream);
        linear(here.q, q, here.norm.out);
        linear(here.k, k, here.norm.out);
        linear(here.v, v, here.norm.out);
      }
    }
  }

  /**
   * Answer y_i to a sequence [BOS, x0, ..., x7, y0, ...]: the token with the highest logit.
   *
   * `edits`: `ideal` puts all weight on the source; `written` and `pushed`, [output][D], stand for
   * what attention and MLP write; `route` (query, key, value, direct) carries an x7 of value `x7`.
   */
  answer(tokens, i, edits = {}) {
    const { layers, run, rows } = this;
    const { pattern, z, written, stream, hidden, pushed } = run;
    const here = LENGTH + i; // y_i is predicted where the token before it stands
    const row = (p, route) =>
      rows[p][p === LENGTH && edits.route === route ? edits.x7 : tokens[p]];
    const { q } = row(here, "query");
    pattern.fill(0);
    for (let p = 0; p <= here; p++)
      pattern[p] = dot(q, row(p, "key").k) / Math.sqrt(D);
    softmax(pattern, here + 1);
    if (edits.ideal) pattern.fill(0)[LENGTH - i] = 1; // x_{7-i} stands behind BOS
    z.fill(0);
    for (let p = 0; p <= here; p++) add(z, pattern[p], row(p, "value").v);
    linear(written, layers.o, z);
    if (edits.written) written.set(edits.written[i]);
    stream.set(row(here, "direct").stream);
    add(stream, 1, written);
    layerNorm(run.norm2, layers.norm2, stream);
    linear(hidden, layers.in, run.norm2.out);
    for (let h = 0; h < HIDDEN; h++) hidden[h] = Math.max(hidden[h], 0);
    linear(pushed, layers.out, hidden);
    if (edits.pushed) pushed.set(edits.pushed[i]);
    add(stream, 1, pushed);
    return highest(this.unembed(stream));
  }

  /** Logits of a stream: the last layer norm, then the unembedding. */
  unembed(stream) {
    layerNorm(this.run.final, this.layers.normFinal, stream);
    linear(this.run.logits, this.layers.unembed, this.run.final.out);
    return this.run.logits;
  }
}

export const successor = (digit) => (digit + 1) % DIGITS;

/** The digits of the n-th input of the sorted list. */
export const input = (n) =>
  times(LENGTH, (j) => (n >> (2 * (LENGTH - 1 - j))) % DIGITS);

/** [BOS, x, y] for eight digits x, y being the right answers. */
export const sequenceOf = (x) => [BOS, ...x, ...x.toReversed().map(successor)];
