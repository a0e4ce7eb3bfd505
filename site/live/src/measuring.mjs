/** Measuring a model on every input: what is right, what its parts write, and its four lines. */

import { D, DIGITS, INPUTS, LENGTH, Model } from "./model.mjs";
import { highest, input, rowOf, sequenceOf, successor } from "./model.mjs";

const AT_ONCE = 2048; // inputs between two reports

/** Count the right answers to all inputs. Yields [output] counts, inputs wholly right, each input's. */
export function* count(weights, edits) {
  const model = new Model(weights);
  const [right, each] = [new Array(LENGTH).fill(0), new Uint8Array(INPUTS)];
  let whole = 0;
  for (let n = 0; n < INPUTS; n++) {
    const tokens = sequenceOf(input(n));
    for (let i = 0; i < LENGTH; i++) {
      const hit = model.answer(tokens, i, edits) === tokens[LENGTH + 1 + i];
      right[i] += hit;
      each[n] += hit;
    }
    whole += each[n] === LENGTH;
    const done = n + 1;
    if (done % AT_ONCE === 0) yield { done, right, whole, each };
  }
}

/**
 * What the picture of the lines is made of, as `Lines` in lessons/line.py. [output, D]: `written`
 * and `pushed`, the means of what attention and MLP write; `own`, of what stands there itself.
 * `direction` is where attention's output varies most; `dots` [output][source] are mean places along
 * it, `ends` [output] the first and the last place.
 */
export function* measure(weights) {
  const model = new Model(weights);
  const all = new Float64Array(INPUTS * LENGTH * D); // what attention writes, each time
  const [written, pushed, own] = [0, 0, 0].map(
    () => new Float64Array(LENGTH * D),
  );
  for (let n = 0; n < INPUTS; n++) {
    const tokens = sequenceOf(input(n));
    for (let i = 0; i < LENGTH; i++) {
      model.answer(tokens, i);
      all.set(model.run.written, (n * LENGTH + i) * D);
      for (let d = 0; d < D; d++) {
        written[i * D + d] += model.run.written[d] / INPUTS;
        pushed[i * D + d] += model.run.pushed[d] / INPUTS;
      }
    }
    if ((n + 1) % AT_ONCE === 0) yield { done: n + 1 };
  }
  for (let i = 0; i < LENGTH; i++) {
    for (let token = 0; token < DIGITS; token++) {
      const row = rowOf(LENGTH + i, token);
      for (let d = 0; d < D; d++)
        own[i * D + d] += model.stream[row + d] / DIGITS;
    }
  }
  const direction = longest(all, written);
  const places = placesAlong(direction, all, written);
  if (
    places.dots.flatMap((dots) => dots[2] - dots[1]).reduce((a, b) => a + b) < 0
  ) {
    direction.forEach((value, d) => (direction[d] = -value)); // source 1 lies left of source 2
  }
  yield {
    written,
    pushed,
    own,
    direction,
    ...placesAlong(direction, all, written),
  };
}

/** The direction in which attention's output varies most, less what the layer norm takes away. */
function longest(all, written) {
  let squares = Array.from({ length: D }, () => new Array(D).fill(0));
  const varying = new Float64Array(D);
  for (let start = 0; start < all.length; start += D) {
    let mean = 0;
    for (let d = 0; d < D; d++) {
      varying[d] = all[start + d] - written[(start + d) % written.length];
      mean += varying[d] / D;
    }
    for (let a = 0; a < D; a++) {
      for (let b = 0; b < D; b++)
        squares[a][b] += (varying[a] - mean) * (varying[b] - mean);
    }
  }
  // Squared again and again, a symmetric matrix turns everything into its longest direction.
  for (let times = 0; times < 30; times++) {
    const size = squares.reduce((sum, row, d) => sum + row[d], 0);
    const scaled = squares.map((row) => row.map((value) => value / size));
    squares = scaled.map((row) => scaled.map((other) => dot(row, other)));
  }
  const column = squares[highest(squares.map((row, d) => row[d]))];
  return Float64Array.from(
    column,
    (value) => value / Math.sqrt(dot(column, column)),
  );
}

/** The mean place of each source at each output, and the ends of all places there. */
function placesAlong(direction, all, written) {
  const dots = Array.from({ length: LENGTH }, () => new Array(DIGITS).fill(0));
  const ends = dots.map(() => [Infinity, -Infinity]);
  for (let n = 0; n < INPUTS; n++) {
    const sources = input(n).reverse();
    for (let i = 0; i < LENGTH; i++) {
      const start = (n * LENGTH + i) * D;
      const place = placeOf(
        { direction, written },
        i,
        all.subarray(start, start + D),
      );
      dots[i][sources[i]] += (place * DIGITS) / INPUTS;
      ends[i] = [Math.min(ends[i][0], place), Math.max(ends[i][1], place)];
    }
  }
  return { dots, ends };
}

const dot = (a, b) => a.reduce((sum, value, d) => sum + value * b[d], 0);
const meanOf = (values) => values.reduce((a, b) => a + b) / values.length;
const relative = (values) =>
  values.map((value) => value - meanOf(values.slice(0, DIGITS)));

/** How far along the direction attention writes from its mean. */
export function placeOf({ direction, written }, output, vector) {
  let place = 0;
  for (let d = 0; d < D; d++)
    place += (vector[d] - written[output * D + d]) * direction[d];
  return place;
}

/** The lines of one output, the MLP's mean at strength `mlp`: heights, slopes, what they answer. */
export function linesOf(model, measured, output, mlp) {
  const { w } = model;
  const { written, pushed, own, direction } = measured;
  const reader = [0, 1, 2, 3, 4].map((token) => {
    const row = Array.from(
      w.normFinal,
      (scale, d) => scale * w.unembed[token * D + d],
    );
    return row.map((value) => value - meanOf(row));
  });
  const start = Array.from(direction, (_, d) => {
    const at = output * D + d;
    return own[at] + written[at] + mlp * pushed[at];
  });
  const slopes = relative(reader.map((row) => dot(row, direction)));
  const heights = relative(reader.map((row) => dot(row, start)));
  const logits = (place) =>
    heights.map((height, token) => height + place * slopes[token]);
  /** The answer at a place as the model's last layer norm leaves it: divided, its bias added. */
  const says = (place) =>
    highest(model.unembed(start.map((v, d) => v + place * direction[d])));
  const isRight = measured.dots[output].map(
    (at, source) => says(at) === successor(source),
  );
  return {
    slopes,
    heights,
    logits,
    says,
    isRight,
    dots: measured.dots[output],
  };
}

/** The parts of a range on which `which(place)` is one token: [from, to, token]. */
export function pieces([low, high], which, steps = 1000) {
  const found = [];
  for (let step = 0; step <= steps; step++) {
    const place = low + ((high - low) * step) / steps;
    const token = which(place);
    if (found.at(-1)?.[2] !== token)
      found.push([found.at(-1)?.[1] ?? low, place, token]);
    found.at(-1)[1] = place;
  }
  return found;
}

/** How many of the 32 dots lie under the line of their successor. */
export function rightDots(model, measured) {
  const outputs = Array.from({ length: LENGTH }, (_, output) => output);
  const marks = outputs.flatMap(
    (output) => linesOf(model, measured, output, 1).isRight,
  );
  return marks.filter(Boolean).length;
}
