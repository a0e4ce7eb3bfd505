/** Drawing: the four lines, and bars and dots of what was counted. */

import { LENGTH, highest, successor } from "./model.mjs";
import { linesOf, pieces } from "./measuring.mjs";

const NAMES = ["0", "1", "2", "3", "BOS"];
export const nameOf = (token) => NAMES[token];
export const mark = (isRight) => (isRight ? "✓" : "✗");
export const strengthInWords = (mlp) =>
  mlp === 0 || mlp === 1
    ? ["without the MLP", "with the MLP's mean"][mlp]
    : `MLP's mean at ${mlp.toFixed(2)}`;

const HEIGHT = 268;
const STRIP = HEIGHT - 50; // where the strip of answers begins

/** The picture of one output in an <svg>; `place` is that of one input. Returns it in words. */
export function drawLines(svg, model, measured, output, mlp, place) {
  const lines = linesOf(model, measured, output, mlp);
  const [first, last] = measured.ends[output];
  const margin = 0.15 * (last - first) || 1;
  const ends = [first - margin, last + margin];
  const tops = [0, 1].flatMap((strength) => {
    const { logits } = linesOf(model, measured, output, strength);
    return ends.flatMap(logits);
  });
  const top = Math.max(...tops); // the same at every strength, so that lines are seen to move
  const width = svg.clientWidth || 560;
  const x = (at) => (width * (at - ends[0])) / (ends[1] - ends[0]);
  const y = (logit) => 28 + ((STRIP - 34) * (1.1 * top - logit)) / (1.6 * top);
  const straight = (from, to, token, kind) => {
    const [a, b] = [from, to].map((at) =>
      y(lines.logits(at)[token]).toFixed(1),
    );
    const spot = `x1="${x(from).toFixed(1)}" y1="${a}" x2="${x(to).toFixed(1)}" y2="${b}"`;
    return `<line class="line${token} ${kind}" ${spot} />`;
  };
  const text = (at, height, words, more = "") =>
    `<text x="${at.toFixed(1)}" y="${height.toFixed(1)}" ${more}>${words}</text>`;

  const thin = NAMES.map((_, token) => straight(...ends, token, "thin"));
  const envelope = pieces(ends, (at) => highest(lines.logits(at)));
  const thick = envelope.map((piece) => straight(...piece, "thick"));
  // A picture within the picture cuts off what lies below.
  const drawn = [
    `<svg height="${STRIP}">${[...thin, ...thick].join("")}</svg>`,
  ];
  for (const [from, to, token] of pieces(ends, lines.says)) {
    const spot = `x="${x(from).toFixed(1)}" y="${STRIP}" width="${(x(to) - x(from)).toFixed(1)}"`;
    drawn.push(`<rect class="fill${token}" ${spot} height="26" />`);
    const words =
      x(to) - x(from) > 60 ? `says ${nameOf(token)}` : nameOf(token);
    const style = `class="on${token}"`;
    if (x(to) - x(from) > 12)
      drawn.push(text((x(from) + x(to)) / 2, STRIP + 18, words, style));
  }
  lines.dots.forEach((at, source) => {
    const [left, height] = [x(at), y(lines.logits(at)[successor(source)])];
    const spot = `x1="${left}" x2="${left}" y1="${height}" y2="${STRIP}"`;
    drawn.push(`<line class="drop" ${spot} />`);
    drawn.push(
      `<circle class="fill${source}" cx="${left}" cy="${height}" r="13" />`,
    );
    drawn.push(text(left, height + 5, source, `class="on${source}"`));
    drawn.push(
      text(left, HEIGHT - 6, mark(lines.isRight[source]), 'class="mark"'),
    );
  });
  const here = Math.min(width - 8, Math.max(8, x(place)));
  drawn.push(text(here, 20, "▼", 'class="mark"'));
  svg.setAttribute("height", HEIGHT);
  svg.innerHTML = drawn.join("");
  const order = envelope.map(([, , token]) => nameOf(token)).join(" ");
  const dots = lines.isRight
    .map((isRight, source) => `${source} ${mark(isRight)}`)
    .join(", ");
  const where = `y${output}, ${strengthInWords(mlp)}`;
  return `${where}: from left to right the highest line is that of ${order}. Sources: ${dots}.`;
}

/** Eight bars, the share of right answers at each output. */
export function drawShares(box, shares) {
  const bars = shares.map(
    (share, i) => `<i style="--share: ${share}"><b>y${i}</b></i>`,
  );
  box.innerHTML = bars.join("");
  const words = shares.map((share, i) => `y${i} ${(100 * share).toFixed(0)} %`);
  box.setAttribute("aria-label", `right answers: ${words.join(", ")}`);
}

/** A dot for each input, 256 in a row: pale if all its answers are right, else the darker. */
export function drawInputs(canvas, each, done) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 256);
  const colour = getComputedStyle(canvas).color.match(/\d+/g).map(Number);
  for (let n = 0; n < done; n++) {
    const alpha = each[n] === LENGTH ? 60 : 255 - 12 * each[n];
    image.data.set([...colour.slice(0, 3), alpha], 4 * n);
  }
  context.putImageData(image, 0, 0);
}

/** The loss of all steps so far, as a line. */
export function drawLoss(svg, losses) {
  const [width, height] = [svg.clientWidth || 300, 40];
  const points = losses.map((loss, step) => {
    const [left, down] = [
      step / Math.max(losses.length - 1, 1),
      1 - loss / 1.8,
    ];
    return `${(left * width).toFixed(1)},${(2 + down * (height - 4)).toFixed(1)}`;
  });
  svg.innerHTML = `<polyline points="${points.join(" ")}" />`;
}
