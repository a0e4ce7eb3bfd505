/** Measuring a model on every input: what is right, what its parts write, and its four lines. */

import { D, DIGITS, INPUTS, LENGTH, Model, add, dot } from "./model.mjs";
import { highest, input, sequenceOf, successor } from "./model.mjs";
import { sum, times, vector } from "./model.mjs";

const AT_ONCE = 2048; // inputs between two reports

/** Let a model answer all inputs: `visit(n, output, isRight, source)` each time. Yields how many. */
function* answerAll(model, edits, visit) {
  for (let n = 0; n < INPUTS; n++) {
    const tokens = sequenceOf(input(n));
    for (let i = 0; i < LENGTH; i++) {
      const isRight = model.answer(tokens, i, edits) === tokens[LENGTH + 1 + i];
      visit(n, i, isRight, tokens[LENGTH - i]);
    }
    if ((n + 1) % AT_ONCE === 0) yield n + 1;
  }
}

/** Count the right answers: `right` at each output, `each` of an input's, `whole` inputs. */
export function* count(weights, edits) {
  const [right, each] = [vector(LENGTH), new Uint8Array(INPUTS)];
  let whole = 0;
  const visit = (n, i, isRight) => {
    right[i] += isRight;
    each[n] += isRight;
    whole += each[n] === LENGTH;
  };
  for (const done of answerAll(new Model(weights), edits, visit)) {
    yield { done, right, whole, each };
  }
}

/**
 * What the picture of the lines is made of, as `Lines` in lessons/line.py. [output][D]: `written`
 * and `pushed`, the means of what attention and MLP write; `own`, of what stands there itself.
 * `direction` is where attention's output varies most; `dots` [output][source] are means along it.
 */
export function* measure(weights) {
  const model = new Model(weights);
  const [written, pushed, own] = times(3, () => times(LENGTH, () => vector()));
  const bySource = times(LENGTH, () => times(DIGITS, () => vector()));
  const squares = times(D, () => vector());
  const visit = (n, i, isRight, source) => {
    const now = model.run.written;
    add(written[i], 1 / INPUTS, now);
    add(pushed[i], 1 / INPUTS, model.run.pushed);
    add(bySource[i][source], DIGITS / INPUTS, now);
    squares.forEach((row, d) => add(row, now[d] / INPUTS, now));
  };
  for (const done of answerAll(model, {}, visit)) yield { done };
  const turn = vector();
  for (let i = 0; i < LENGTH; i++) {
    const tokens = model.rows[LENGTH + i].slice(0, DIGITS);
    tokens.forEach(({ stream }) => add(own[i], 1 / DIGITS, stream));
    squares.forEach((row, d) => add(row, -written[i][d], written[i]));
    add(turn, 1, bySource[i][2]);
    add(turn, -1, bySource[i][1]);
  }
  let direction = longest(squares); // it points from source 1 to source 2
  if (dot(direction, turn) < 0) direction = direction.map((value) => -value);
  const place = (i) => (mean) => placeOf({ direction, written }, i, mean);
  const dots = bySource.map((means, i) => means.map(place(i)));
  yield { written, pushed, own, direction, dots };
}

/** The direction of most of the `squares`, less the mean, which the layer norm takes away. */
function longest(squares) {
  let matrix = squares.map((row) => row.map((value) => value - meanOf(row)));
  const column = (d) => matrix.map((row) => row[d]);
  matrix = matrix.map((row) => row.map((v, d) => v - meanOf(column(d))));
  // Squared again and again, a symmetric matrix turns everything into its longest direction.
  for (let again = 0; again < 30; again++) {
    const size = sum(matrix.map((row, d) => row[d])) ** 2;
    matrix = matrix.map((a) => matrix.map((b) => dot(a, b) / size));
  }
  const found = matrix[highest(matrix.map((row, d) => row[d]))];
  return found.map((value) => value / Math.sqrt(dot(found, found)));
}

/** How far along the direction attention writes from its mean. */
export const placeOf = ({ direction, written }, output, vector) =>
  dot(direction, vector) - dot(direction, written[output]);

const meanOf = (values) => sum(values) / values.length;

/**
 * The lines of one output, the MLP's mean at strength `mlp`. `heights` of the five tokens at a
 * place are the logits before the last layer norm divides, less the mean of the digits'. They are
 * straight but for the norm's bias, which is in, so the highest is what the model would say.
 */
export function linesOf(model, measured, output, mlp) {
  const start = measured.own[output].slice();
  add(start, 1, measured.written[output]);
  add(start, mlp, measured.pushed[output]);
  const heights = (place) => {
    const stream = start.slice();
    add(stream, place, measured.direction);
    const logits = [...model.unembed(stream)];
    const mean = meanOf(logits.slice(0, DIGITS));
    return logits.map((logit) => (logit - mean) / model.run.final.inverse);
  };
  const says = (place) => highest(heights(place));
  const dots = measured.dots[output];
  const isRight = dots.map((at, source) => says(at) === successor(source));
  return { heights, says, dots, isRight };
}

/** The parts of a range on which `which(place)` is one token: [from, to, token]. */
export function pieces([low, high], which, steps = 1000) {
  const found = [];
  for (const step of times(steps + 1, Number)) {
    const place = low + ((high - low) * step) / steps;
    const token = which(place);
    const from = found.at(-1)?.[1] ?? low;
    if (found.at(-1)?.[2] !== token) found.push([from, place, token]);
    found.at(-1)[1] = place;
  }
  return found;
}

/** How many of the 32 dots lie under the line of their successor. */
export function rightDots(model, measured) {
  const marks = (output) => linesOf(model, measured, output, 1).isRight;
  return times(LENGTH, marks).flat().filter(Boolean).length;
}
