/** Training: the recipe of helpers.training, with gradients worked out by hand. */

import { D, INPUTS, KEYS, LENGTH, Model, SIZE } from "./model.mjs";
import {
  highest,
  input,
  isMatrix,
  isScale,
  named,
  rowOf,
  sequenceOf,
} from "./model.mjs";

const RECIPE = {
  rate: 5e-2,
  beta1: 0.9,
  beta2: 0.98,
  batch: 128,
  epochs: 7,
  clip: 1,
};
const PATIENCE = 50; // stop after so many batches in a row without one wrong answer
const TRAIN = 60_000; // inputs to train on; the others are held out
const MAX_STEPS = RECIPE.epochs * Math.floor(TRAIN / RECIPE.batch);

/**
 * Engines may differ in the last digit of exp, log and cos. What is rounded to a grid before it
 * enters the weights is equal everywhere, so a seed gives the same model in every browser.
 */
const toGrid = (value, bits = 20) => Math.round(value * 2 ** bits) / 2 ** bits;

/** A function that gives random numbers from 0 to 1: a counter, mixed as MurmurHash3 ends. */
function random(seed) {
  let counter = seed;
  return () => {
    counter = (counter + 0x9e3779b9) | 0;
    let mixed = Math.imul(counter ^ (counter >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** The same numbers in a random order, in place (Fisher and Yates). */
function shuffle(numbers, next) {
  for (let i = numbers.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [numbers[i], numbers[j]] = [numbers[j], numbers[i]];
  }
  return numbers;
}

/** Normal matrices of deviation 0.05, zero biases, layer norms at 1. */
function initialWeights(next) {
  const flat = new Float64Array(SIZE);
  for (const [name, values] of Object.entries(named(flat))) {
    if (isScale(name)) values.fill(1);
    if (!isMatrix(name)) continue;
    for (let i = 0; i < values.length; i++) {
      const size = Math.sqrt(-2 * Math.log(1 - next())); // Box and Muller
      values[i] = toGrid(0.05 * size * Math.cos(2 * Math.PI * next()));
    }
  }
  return flat;
}

/** Through y = matrix x + bias: adds to the gradients of matrix, bias and x, given that of y. */
function linearBack(gMatrix, gBias, gx, matrix, x, gy) {
  const columns = x.length;
  for (let r = 0; r < gy.length; r++) {
    if (gBias) gBias[r] += gy[r];
    for (let c = 0; c < columns; c++) {
      gMatrix[r * columns + c] += gy[r] * x[c];
      gx[c] += matrix[r * columns + c] * gy[r];
    }
  }
}

/** Through a layer norm: adds to the gradients of scale, bias and x, given that of its output. */
function normBack(gScale, gBias, gx, scale, hat, inverse, gy) {
  let [mean, along] = [0, 0];
  for (let d = 0; d < D; d++) {
    gScale[d] += gy[d] * hat[d];
    gBias[d] += gy[d];
    mean += (gy[d] * scale[d]) / D;
    along += (gy[d] * scale[d] * hat[d]) / D;
  }
  for (let d = 0; d < D; d++)
    gx[d] += inverse * (gy[d] * scale[d] - mean - hat[d] * along);
}

/** The loss of a model (nats per answer) on sequences, its gradient, and the right answers. */
export class Gradient {
  constructor(model) {
    this.model = model;
    this.flat = new Float64Array(SIZE);
    this.g = named(this.flat);
    for (const table of ["stream", "q", "k", "v"]) {
      this[table] = new Float64Array(model[table].length);
    }
    this.gPattern = new Float64Array(KEYS);
    this.gLogits = new Float64Array(model.run.logits.length);
    this.gHidden = new Float64Array(model.run.hidden.length);
    for (const value of ["gx", "gMiddle", "gz"])
      this[value] = new Float64Array(D);
  }

  of(sequences) {
    for (const sums of [this.flat, this.stream, this.q, this.k, this.v])
      sums.fill(0);
    this.model.fillTables();
    this.right = new Array(LENGTH).fill(0);
    this.loss = 0;
    for (const tokens of sequences) {
      for (let i = 0; i < LENGTH; i++) {
        const wanted = tokens[LENGTH + 1 + i];
        this.right[i] +=
          (this.model.answer(tokens, i) === wanted) / sequences.length;
        this.back(tokens, i, wanted, 1 / (sequences.length * LENGTH));
      }
    }
    this.throughTables();
    return this;
  }

  /** From one answer, which the model has just given, back to the tables. */
  back(tokens, i, wanted, share) {
    const { g, gLogits, gHidden, gx, gMiddle, gz, gPattern } = this;
    const { w, run, q, k, v } = this.model;
    const top = run.logits[highest(run.logits)];
    let total = 0;
    for (let t = 0; t < gLogits.length; t++)
      total += gLogits[t] = Math.exp(run.logits[t] - top);
    this.loss += share * (Math.log(total) + top - run.logits[wanted]);
    for (let t = 0; t < gLogits.length; t++) {
      gLogits[t] = share * (gLogits[t] / total - (t === wanted));
    }
    for (const values of [gx, gMiddle, gHidden, gz]) values.fill(0);
    linearBack(g.unembed, null, gx, w.unembed, run.normed, gLogits);
    const final = [w.normFinal, run.hatFinal, run.inverseFinal];
    normBack(g.normFinal, g.normFinalBias, gMiddle, ...final, gx);
    linearBack(g.out, g.outBias, gHidden, w.out, run.hidden, gMiddle);
    for (let h = 0; h < gHidden.length; h++)
      if (run.hidden[h] <= 0) gHidden[h] = 0; // ReLU
    linearBack(g.in, g.inBias, gx.fill(0), w.in, run.read2, gHidden);
    normBack(
      g.norm2,
      g.norm2Bias,
      gMiddle,
      w.norm2,
      run.hat2,
      run.inverse2,
      gx,
    );
    linearBack(g.o, g.oBias, gz, w.o, run.z, gMiddle);
    const here = LENGTH + i;
    const query = rowOf(here, tokens[here]);
    let mean = 0;
    for (let p = 0; p <= here; p++) {
      const row = rowOf(p, tokens[p]);
      gPattern[p] = 0;
      for (let d = 0; d < D; d++) {
        gPattern[p] += gz[d] * v[row + d];
        this.v[row + d] += run.pattern[p] * gz[d];
      }
      mean += run.pattern[p] * gPattern[p];
    }
    for (let p = 0; p <= here; p++) {
      const row = rowOf(p, tokens[p]);
      const gScore = (run.pattern[p] * (gPattern[p] - mean)) / Math.sqrt(D);
      for (let d = 0; d < D; d++) {
        this.q[query + d] += gScore * k[row + d];
        this.k[row + d] += gScore * q[query + d];
      }
    }
    for (let d = 0; d < D; d++) this.stream[query + d] += gMiddle[d];
  }

  /** From the tables back to the weights that they were made of. */
  throughTables() {
    const { g, gx, model } = this;
    const { w } = model;
    for (let row = 0; row < model.stream.length; row += D) {
      const at = (table) => table.subarray(row, row + D);
      const [read, gStream] = [at(model.read), at(this.stream)];
      gx.fill(0);
      linearBack(g.q, g.qBias, gx, w.q, read, at(this.q));
      linearBack(g.k, g.kBias, gx, w.k, read, at(this.k));
      linearBack(g.v, g.vBias, gx, w.v, read, at(this.v));
      const norm = [w.norm1, at(model.hat), model.inverse[row / D]];
      normBack(g.norm1, g.norm1Bias, gStream, ...norm, gx);
      const tokens = model.inverse.length / KEYS;
      const [position, token] = [
        Math.floor(row / D / tokens),
        (row / D) % tokens,
      ];
      for (let d = 0; d < D; d++) {
        g.embed[token * D + d] += gStream[d];
        g.position[position * D + d] += gStream[d];
      }
    }
  }
}

/** AdamW of torch, without weight decay; it is given gradients and moves the weights. */
class Adam {
  moments = [new Float64Array(SIZE), new Float64Array(SIZE)];
  powers = [1, 1]; // of the two betas; multiplied, as engines may differ in `**`

  step(weights, gradient, rate) {
    const { beta1, beta2 } = RECIPE;
    const [mean, square] = this.moments;
    this.powers = [this.powers[0] * beta1, this.powers[1] * beta2];
    const [size, root] = [
      rate / (1 - this.powers[0]),
      Math.sqrt(1 - this.powers[1]),
    ];
    for (let i = 0; i < SIZE; i++) {
      mean[i] += (1 - beta1) * (gradient[i] - mean[i]);
      square[i] = beta2 * square[i] + (1 - beta2) * gradient[i] * gradient[i];
      weights[i] -= (size * mean[i]) / (Math.sqrt(square[i]) / root + 1e-8);
    }
  }
}

/** Batches of sequences, epoch after epoch, each in a new order. */
function* batches(next) {
  const numbers = Array.from({ length: INPUTS }, (_, n) => n);
  const train = shuffle(numbers, random(0)).slice(0, TRAIN); // the same for every seed
  for (let epoch = 0; epoch < RECIPE.epochs; epoch++) {
    shuffle(train, next);
    for (let start = 0; start + RECIPE.batch <= TRAIN; start += RECIPE.batch) {
      yield train
        .slice(start, start + RECIPE.batch)
        .map((n) => sequenceOf(input(n)));
    }
  }
}

/** Train the model of a seed; yields after each step what it is by then. */
export function* train(seed) {
  const model = new Model(initialWeights(random(2 * seed + 1)));
  const [gradient, adam] = [new Gradient(model), new Adam()];
  let [step, streak] = [0, 0];
  for (const batch of batches(random(2 * seed + 2))) {
    const { flat, loss, right } = gradient.of(batch);
    const norm = Math.sqrt(flat.reduce((sum, value) => sum + value * value, 0));
    const scale = Math.min(1, RECIPE.clip / (norm + 1e-6));
    const rounded = flat.map((value) => toGrid(scale * value));
    const rate =
      0.5 * RECIPE.rate * (1 + Math.cos((Math.PI * step) / MAX_STEPS));
    adam.step(model.weights, rounded, toGrid(rate, 40));
    streak = right.every((share) => share === 1) ? streak + 1 : 0;
    const stopped = streak >= PATIENCE;
    yield {
      step: ++step,
      loss,
      right,
      stopped,
      weights: model.weights.slice(),
    };
    if (stopped) return;
  }
}
