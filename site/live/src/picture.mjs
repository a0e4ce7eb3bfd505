/** Drawing: the four lines, and what was counted. */

import { DIGITS, LENGTH, successor, times } from "./model.mjs";
import { linesOf, pieces } from "./measuring.mjs";

export const nameOf = (token) => ["0", "1", "2", "3", "BOS"][token];
export const mark = (isRight) => (isRight ? "✓" : "✗");

const HEIGHT = 268;
const STRIP = HEIGHT - 50; // where the strip of answers begins

/** An SVG element of these attributes. */
function tag(name, attributes, inside = "") {
  const set = Object.entries(attributes).map(([key, v]) => `${key}="${v}"`);
  return `<${name} ${set.join(" ")}>${inside}</${name}>`;
}

/** The picture of one output; `place` is that of one input. Returns it in words. */
export function drawLines(svg, model, measured, { output, mlp, place }) {
  const lines = linesOf(model, measured, output, mlp);
  const reach = (end) => end(...lines.dots, place);
  const [first, last] = [Math.min, Math.max].map(reach);
  const margin = 0.16 * (last - first) || 1;
  const ends = [first - margin, last + margin];
  // The same at every strength, so that lines are seen to move.
  const both = [0, 1].map((mlp) => linesOf(model, measured, output, mlp));
  const top = Math.max(...both.flatMap(({ heights }) => ends.flatMap(heights)));
  const width = svg.clientWidth || 560;
  const scale = width / (ends[1] - ends[0]);
  const x = (at) => scale * (at - ends[0]);
  const y = (height) =>
    28 + ((STRIP - 34) * (1.1 * top - height)) / (1.6 * top);
  const text = (x, y, words, kind) => tag("text", { x, y, class: kind }, words);
  const line = ([from, to, token], thickness) => {
    const places = times(41, (step) => from + ((to - from) * step) / 40);
    const points = places.map((at) => [x(at), y(lines.heights(at)[token])]);
    const kind = `${thickness} line${token}`;
    return tag("polyline", { points: points.join(" "), class: kind });
  };
  const strip = ([from, to, token]) => {
    const room = x(to) - x(from);
    const spot = { x: x(from), y: STRIP, width: room, height: 26 };
    const words = `${room > 60 ? "says " : ""}${room > 12 ? nameOf(token) : ""}`;
    const middle = (x(from) + x(to)) / 2;
    const name = text(middle, STRIP + 18, words, `on${token}`);
    return tag("rect", { ...spot, class: `fill${token}` }) + name;
  };
  let room = 0; // verdicts stand side by side, also where dots do not
  const order = [0, 1, 2, 3].sort((a, b) => lines.dots[a] - lines.dots[b]);
  const dots = order.map((source) => {
    const cx = x(lines.dots[source]);
    const height = y(lines.heights(lines.dots[source])[successor(source)]);
    const cy = Math.min(height, STRIP - 8); // what lies below is seen at the edge
    room = Math.max(room + 16, cx);
    return [
      tag("line", { x1: cx, x2: cx, y1: cy, y2: STRIP, class: "drop" }),
      tag("circle", { cx, cy, r: 13, class: `fill${source}` }),
      text(cx, cy + 5, source, `on${source}`),
      text(room, HEIGHT - 6, mark(lines.isRight[source]), "mark"),
    ];
  });
  const envelope = pieces(ends, lines.says);
  const thin = times(5, (token) => line([...ends, token], "thin"));
  const thick = envelope.map((piece) => line(piece, "thick"));
  // Each name above its line, that of BOS below, at the end where that is higher.
  const names = times(5, (token) => {
    const spot = 10 + 9 * [2, 3, 0, 1, 1][token]; // side by side
    const below = token === DIGITS ? 15 : -6;
    const height = (x) => y(lines.heights(ends[0] + x / scale)[token]) + below;
    const [left, right] = [height(spot), height(width - spot)];
    const at = right < left ? [width - spot, right] : [spot, left];
    return text(...at, nameOf(token), "name");
  });
  svg.innerHTML = [
    tag("svg", { height: STRIP }, [...thin, ...thick, ...names].join("")), // cuts off what lies below
    ...envelope.map(strip),
    ...dots.flat(),
    text(x(place), 20, "▼", "mark"),
  ].join("");
  const tops = envelope.map(([, , token]) => nameOf(token)).join(" ");
  const verdicts = lines.isRight.map((isRight, t) => `${t} ${mark(isRight)}`);
  const known = { 0: "without the MLP", 1: "with the MLP's mean" };
  const strength = known[mlp] ?? `MLP's mean at ${mlp.toFixed(2)}`;
  const where = `y${output}, ${strength}: from left to right`;
  return `${where} the highest line is that of ${tops}. Sources: ${verdicts.join(", ")}.`;
}

/** Eight bars, the share of right answers at each output. */
export function drawShares(box, shares) {
  const percent = [...shares].map((share) => `${(100 * share).toFixed(0)}%`);
  const bar = (words, i) =>
    `<i style="--share: ${shares[i]}">${words}<b>y${i}</b></i>`;
  box.innerHTML = percent.map(bar).join("");
  const words = percent.map((share, i) => `y${i} ${share}`).join(", ");
  box.setAttribute("aria-label", `right answers: ${words || "not counted"}`);
}

/** A dot for each input, 256 in a row: faint if all its answers are right, else stronger. */
export function drawInputs(canvas, each, done) {
  const image = new ImageData(256, 256);
  const [r, g, b] = getComputedStyle(canvas).color.match(/\d+/g);
  for (let n = 0; n < done; n++) {
    const alpha = each[n] === LENGTH ? 60 : 255 - 12 * each[n];
    image.data.set([r, g, b, alpha], 4 * n);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The loss of all steps so far. */
export function drawLoss(svg, losses) {
  const across = (svg.clientWidth || 300) / Math.max(losses.length - 1, 1);
  const points = losses.map((loss, step) => [step * across, 30 - 16 * loss]);
  svg.innerHTML = tag("polyline", { points: points.join(" ") });
}
