/** Training: the recipe of helpers.training, with gradients worked out by hand. */

import { D, INPUTS, LENGTH, Model, SIZE, add, dot, input } from "./model.mjs";
import { layersOf, makeRows, part, sequenceOf, softmax } from "./model.mjs";
import { times, vector } from "./model.mjs";

const [RATE, BETAS, BATCH, EPOCHS, CLIP] = [5e-2, [0.9, 0.98], 128, 7, 1];
const PATIENCE = 50; // stop after so many batches in a row without one wrong answer
const TRAIN = 60_000; // inputs to train on; the others are held out
export const MAX_STEPS = EPOCHS * Math.floor(TRAIN / BATCH);

/**
 * Engines may differ in the last digit of exp, log and cos. What is rounded to a grid before it
 * enters the weights is the same everywhere, so a seed gives one model in all browsers.
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

/** Normal matrices of deviation 0.05 (by Box and Muller), zero biases, layer norms at 1. */
function initialWeights(next) {
  const flat = vector(SIZE);
  for (const [name, { weight }] of Object.entries(layersOf(flat))) {
    for (let i = 0; i < weight.length; i++) {
      const size = Math.sqrt(-2 * Math.log(1 - next()));
      const value = 0.05 * size * Math.cos(2 * Math.PI * next());
      weight[i] = name.startsWith("norm") ? 1 : toGrid(value);
    }
  }
  return flat;
}

/** Back through `linear`: adds to the gradients of its layer and of x, given that of what it gave. */
function linearBack(g, gx, { weight }, x, gOut) {
  for (let r = 0, at = 0; r < gOut.length; r++) {
    if (g.bias.length) g.bias[r] += gOut[r];
    for (let c = 0; c < x.length; c++, at++) {
      g.weight[at] += gOut[r] * x[c];
      gx[c] += gOut[r] * weight[at];
    }
  }
}

/** Back through `layerNorm`, in the same way. */
function normBack(g, gx, { weight }, { hat, inverse }, gOut) {
  let [mean, along] = [0, 0];
  for (let d = 0; d < D; d++) {
    g.weight[d] += gOut[d] * hat[d];
    g.bias[d] += gOut[d];
    mean += (gOut[d] * weight[d]) / D;
    along += (gOut[d] * weight[d] * hat[d]) / D;
  }
  for (let d = 0; d < D; d++)
    gx[d] += inverse * (gOut[d] * weight[d] - mean - along * hat[d]);
}

/** The loss of a model (nats per answer) on sequences, its gradient, and the right answers. */
export class Gradient {
  constructor(model) {
    this.model = model;
    this.flat = vector(SIZE);
    this.layers = layersOf(this.flat);
    this.scratch = [D, D, model.run.hidden.length, D, D].map(vector);
  }

  of(sequences) {
    const share = 1 / (sequences.length * LENGTH);
    Object.assign(this, { loss: 0, right: vector(LENGTH), rows: makeRows() });
    this.flat.fill(0);
    this.model.fillRows();
    for (const tokens of sequences) {
      for (let i = 0; i < LENGTH; i++) {
        const wanted = tokens[LENGTH + 1 + i];
        this.right[i] +=
          (this.model.answer(tokens, i) === wanted) / sequences.length;
        this.backFromAnswer(tokens, i, wanted, share);
      }
    }
    this.backFromRows();
    return this;
  }

  /** From one answer, which the model has just given, back to the rows. */
  backFromAnswer(tokens, i, wanted, share) {
    const { layers: g, rows: gRows } = this;
    const { layers, run, rows } = this.model;
    const here = LENGTH + i;
    const row = (all, p) => all[p][tokens[p]];
    const gLogits = run.logits.slice();
    const total = softmax(gLogits, gLogits.length);
    this.loss += share * (total - run.logits[wanted]);
    gLogits[wanted] -= 1;
    for (let t = 0; t < gLogits.length; t++) gLogits[t] *= share;
    this.scratch.forEach((values) => values.fill(0));
    const [gFinal, gOut, gHidden, gNorm2, gz] = this.scratch;
    const gStream = row(gRows, here).stream;
    linearBack(g.unembed, gFinal, layers.unembed, run.final.out, gLogits);
    normBack(g.normFinal, gOut, layers.normFinal, run.final, gFinal);
    linearBack(g.out, gHidden, layers.out, run.hidden, gOut);
    for (let h = 0; h < gHidden.length; h++) gHidden[h] *= run.hidden[h] > 0; // ReLU
    linearBack(g.in, gNorm2, layers.in, run.norm2.out, gHidden);
    normBack(g.norm2, gOut, layers.norm2, run.norm2, gNorm2);
    add(gStream, 1, gOut);
    linearBack(g.o, gz, layers.o, run.z, gOut);
    const mean = dot(gz, run.z);
    const [{ q }, { q: gq }] = [row(rows, here), row(gRows, here)];
    for (let p = 0; p <= here; p++) {
      const [{ k, v }, to] = [row(rows, p), row(gRows, p)];
      const gScore = (run.pattern[p] * (dot(gz, v) - mean)) / Math.sqrt(D);
      add(to.v, run.pattern[p], gz);
      add(to.k, gScore, q);
      add(gq, gScore, k);
    }
  }

  /** From the rows back to the weights that they were made of. */
  backFromRows() {
    const { layers: g, model } = this;
    const { norm1, ...reads } = model.layers;
    for (const [p, row] of this.rows.entries()) {
      for (const [token, gRow] of row.entries()) {
        const [{ norm }, gRead] = [model.rows[p][token], vector()];
        for (const name of ["q", "k", "v"]) {
          linearBack(g[name], gRead, reads[name], norm.out, gRow[name]);
        }
        normBack(g.norm1, gRow.stream, norm1, norm, gRead);
        add(part(g.embed, token), 1, gRow.stream);
        add(part(g.position, p), 1, gRow.stream);
      }
    }
  }
}

/** A function (weights, gradient, rate) that takes a step as torch's AdamW, without weight decay. */
function adam() {
  const [mean, square, powers] = [vector(SIZE), vector(SIZE), [1, 1]];
  return (weights, gradient, rate) => {
    // Multiplied step by step, as engines may differ in `**`.
    BETAS.forEach((beta, i) => (powers[i] *= beta));
    const [size, root] = [rate / (1 - powers[0]), Math.sqrt(1 - powers[1])];
    for (let i = 0; i < SIZE; i++) {
      mean[i] += (1 - BETAS[0]) * (gradient[i] - mean[i]);
      square[i] =
        BETAS[1] * square[i] + (1 - BETAS[1]) * gradient[i] * gradient[i];
      weights[i] -= (size * mean[i]) / (Math.sqrt(square[i]) / root + 1e-8);
    }
  };
}

/** Batches of sequences, epoch after epoch, each in a new order. */
function* batches(next) {
  const train = shuffle(times(INPUTS, Number), random(0)).slice(0, TRAIN); // for every seed
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    shuffle(train, next);
    for (let start = 0; start + BATCH <= TRAIN; start += BATCH) {
      yield train.slice(start, start + BATCH).map((n) => sequenceOf(input(n)));
    }
  }
}

/** Train the model of a seed; yields after each step what it is by then. */
export function* train(seed) {
  const model = new Model(initialWeights(random(2 * seed + 1)));
  const [gradient, move] = [new Gradient(model), adam()];
  let [step, streak] = [0, 0];
  for (const batch of batches(random(2 * seed + 2))) {
    const { flat, loss, right } = gradient.of(batch);
    const scale = Math.min(1, CLIP / (Math.sqrt(dot(flat, flat)) + 1e-6));
    const rate = 0.5 * RATE * (1 + Math.cos((Math.PI * step) / MAX_STEPS));
    const rounded = flat.map((value) => toGrid(scale * value));
    move(model.weights, rounded, toGrid(rate, 40));
    streak = right.every((share) => share === 1) ? streak + 1 : 0;
    const stopped = streak === PATIENCE;
    const weights = model.weights.slice();
    yield { step: ++step, loss, right, stopped, weights };
    if (stopped) return;
  }
}
