/** The model: one layer, 360 numbers, computed as `forward` in helpers/model.py does it. */

export const LENGTH = 8; // digits in, and digits out
export const DIGITS = 4;
export const BOS = 4; // begin of sequence, the fifth token
export const INPUTS = DIGITS ** LENGTH; // 65,536
export const D = 4; // numbers in the stream; d_model and d_head
const VOCAB = 5;
const HIDDEN = 16; // neurons of the MLP
export const KEYS = 2 * LENGTH; // positions that can be looked at

/** Parameters in the order of helpers.model.shapes; a matrix is [out, in], as in torch. */
const SHAPES = {
  embed: [VOCAB, D],
  position: [KEYS + 1, D],
  ...{
    norm1: [D],
    norm1Bias: [D],
    q: [D, D],
    qBias: [D],
    k: [D, D],
    kBias: [D],
  },
  ...{
    v: [D, D],
    vBias: [D],
    o: [D, D],
    oBias: [D],
    norm2: [D],
    norm2Bias: [D],
  },
  ...{ in: [HIDDEN, D], inBias: [HIDDEN], out: [D, HIDDEN], outBias: [D] },
  ...{ normFinal: [D], normFinalBias: [D], unembed: [VOCAB, D] },
};
const sizeOf = (shape) => shape.reduce((a, b) => a * b);
export const isMatrix = (name) => SHAPES[name].length === 2;
export const isScale = (name) => /^norm[^B]*$/.test(name);
export const SIZE = Object.values(SHAPES)
  .map(sizeOf)
  .reduce((a, b) => a + b); // 360

/** The parameters in a flat array by name; each is a view, not a copy. */
export function named(flat) {
  const views = {};
  let start = 0;
  for (const [name, shape] of Object.entries(SHAPES)) {
    views[name] = flat.subarray(start, (start += sizeOf(shape)));
  }
  return views;
}

/** out = matrix x + bias; a layer without a bias has null. */
function linear(out, matrix, bias, x) {
  const columns = x.length;
  for (let r = 0; r < out.length; r++) {
    let sum = bias ? bias[r] : 0;
    for (let c = 0; c < columns; c++) sum += matrix[r * columns + c] * x[c];
    out[r] = sum;
  }
}

/** hat = x less its mean, divided by its size; out = scale hat + bias. Returns 1 / size. */
export function layerNorm(out, hat, scale, bias, x) {
  let [mean, variance] = [0, 0];
  for (let d = 0; d < D; d++) mean += x[d] / D;
  for (let d = 0; d < D; d++) variance += ((x[d] - mean) * (x[d] - mean)) / D;
  const inverse = 1 / Math.sqrt(variance + 1e-5);
  for (let d = 0; d < D; d++) {
    hat[d] = (x[d] - mean) * inverse;
    out[d] = scale[d] * hat[d] + bias[d];
  }
  return inverse;
}

/** Where a token at a position stands in the tables. */
export const rowOf = (position, token) => (position * VOCAB + token) * D;

/** The token that a route out of a position carries; `edits` may exchange x7's in one of them. */
const carried = (tokens, position, route, edits) =>
  position === LENGTH && edits.route === route ? edits.x7 : tokens[position];

const NOTHING = {};
const zeros = (n) => new Float64Array(n);

export class Model {
  constructor(weights) {
    this.weights = Float64Array.from(weights);
    this.w = named(this.weights);
    // What attention reads depends on position and token only: a table for each, [position, token].
    for (const table of ["stream", "hat", "read", "q", "k", "v"]) {
      this[table] = zeros(KEYS * VOCAB * D);
    }
    this.inverse = zeros(KEYS * VOCAB);
    // What the last call of `answer` came by, for whoever wants to look.
    this.run = {
      pattern: zeros(KEYS),
      hidden: zeros(HIDDEN),
      logits: zeros(VOCAB),
    };
    for (const value of "z written middle hat2 read2 pushed last hatFinal normed".split(
      " ",
    )) {
      this.run[value] = zeros(D);
    }
    this.fillTables();
  }

  /** Once more after each change of the weights. */
  fillTables() {
    const { w } = this;
    for (let position = 0; position < KEYS; position++) {
      for (let token = 0; token < VOCAB; token++) {
        const row = rowOf(position, token);
        const at = (table) => table.subarray(row, row + D);
        const [stream, read] = [at(this.stream), at(this.read)];
        for (let d = 0; d < D; d++) {
          stream[d] = w.embed[token * D + d] + w.position[position * D + d];
        }
        this.inverse[row / D] = layerNorm(
          read,
          at(this.hat),
          w.norm1,
          w.norm1Bias,
          stream,
        );
        linear(at(this.q), w.q, w.qBias, read);
        linear(at(this.k), w.k, w.kBias, read);
        linear(at(this.v), w.v, w.vBias, read);
      }
    }
  }

  /**
   * Answer y_i to a sequence [BOS, x0, ..., x7, y0, ...]: the token with the highest logit.
   *
   * `edits`: `ideal` puts all weight on the source; `written` and `pushed`, [output, D], stand for
   * what attention and MLP write; `route` (query, key, value, direct) carries an x7 of value `x7`.
   */
  answer(tokens, i, edits = NOTHING) {
    const { w, run, q, k, v } = this;
    const { pattern, z } = run;
    const here = LENGTH + i; // y_i is predicted where the token before it stands
    const query = rowOf(here, carried(tokens, here, "query", edits));
    let [top, total] = [-Infinity, 0];
    pattern.fill(0);
    for (let p = 0; p <= here; p++) {
      const key = rowOf(p, carried(tokens, p, "key", edits));
      let score = 0;
      for (let d = 0; d < D; d++) score += q[query + d] * k[key + d];
      pattern[p] = score / Math.sqrt(D);
      top = Math.max(top, pattern[p]);
    }
    for (let p = 0; p <= here; p++)
      total += pattern[p] = Math.exp(pattern[p] - top);
    for (let p = 0; p <= here; p++) pattern[p] /= total;
    if (edits.ideal) pattern.fill(0)[LENGTH - i] = 1; // x_{7-i} stands behind BOS
    z.fill(0);
    for (let p = 0; p <= here; p++) {
      const value = rowOf(p, carried(tokens, p, "value", edits));
      for (let d = 0; d < D; d++) z[d] += pattern[p] * v[value + d];
    }
    linear(run.written, w.o, w.oBias, z);
    const own = rowOf(here, carried(tokens, here, "direct", edits));
    for (let d = 0; d < D; d++) {
      if (edits.written) run.written[d] = edits.written[i * D + d];
      run.middle[d] = this.stream[own + d] + run.written[d];
    }
    run.inverse2 = layerNorm(
      run.read2,
      run.hat2,
      w.norm2,
      w.norm2Bias,
      run.middle,
    );
    linear(run.hidden, w.in, w.inBias, run.read2);
    for (let h = 0; h < HIDDEN; h++) run.hidden[h] = Math.max(run.hidden[h], 0);
    linear(run.pushed, w.out, w.outBias, run.hidden);
    for (let d = 0; d < D; d++) {
      if (edits.pushed) run.pushed[d] = edits.pushed[i * D + d];
      run.last[d] = run.middle[d] + run.pushed[d];
    }
    this.unembed(run.last);
    return highest(run.logits);
  }

  /** Logits of a stream: the last layer norm, then the unembedding. */
  unembed(stream) {
    const { w, run } = this;
    const [scale, bias] = [w.normFinal, w.normFinalBias];
    run.inverseFinal = layerNorm(run.normed, run.hatFinal, scale, bias, stream);
    linear(run.logits, w.unembed, null, run.normed);
    return run.logits;
  }
}

/** Where the largest number is. */
export function highest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++)
    if (values[i] > values[best]) best = i;
  return best;
}

export const successor = (digit) => (digit + 1) % DIGITS;

/** [BOS, x, y] for eight digits x, y being the right answers. */
export const sequenceOf = (x) => [
  BOS,
  ...x,
  ...[...x].reverse().map(successor),
];

/** The digits of the n-th input of the sorted list. */
export const input = (n) =>
  Array.from({ length: LENGTH }, (_, j) => (n >> (2 * (7 - j))) & 3);
