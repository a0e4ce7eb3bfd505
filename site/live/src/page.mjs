/** The page: what the reader does, and what is shown then. */

import { DIGITS, INPUTS, LENGTH, Model, input, sequenceOf } from "./model.mjs";
import { successor, sum, times, vector } from "./model.mjs";
import { linesOf, placeOf, rightDots } from "./measuring.mjs";
import { drawInputs, drawLines, drawLoss, drawShares } from "./picture.mjs";
import { mark, nameOf } from "./picture.mjs";
import { Gradient, MAX_STEPS } from "./training.mjs";

const $ = (selector) => document.querySelector(selector);
const $$ = (selector) => [...document.querySelectorAll(selector)];
const HEADS = $$("#heads button");
const put = (selector, words) => ($(selector).textContent = words);
const number = (value) => value.toLocaleString("en");
const EXAMPLE = "32221200";
const STORED = JSON.parse($("#weights").textContent);

const state = {
  model: new Model(STORED),
  measured: null, // what the picture is made of, once it is measured
  x: [...EXAMPLE].map(Number),
  output: 1, // the row that is looked into
  bet: "", // what was bet, in words
  said: null, // its own answers so far, while the model writes alone
};

// A worker gets the text of this page's modules, so that no file is asked for.
const SERVE = `onmessage = ({ data }) => {
  const job = { count, measure, train }[data.job];
  for (const part of job(...data.args)) postMessage(part);
  postMessage(null);
};`;
const TEXT = [$("#engine").textContent, SERVE];
const SCRIPT = new Blob(TEXT, { type: "text/javascript" });
const ADDRESS = URL.createObjectURL(SCRIPT);

/** Run a generator there; `done` is its last part, or the last before `stop`. */
function inWorker(job, args, onPart = () => {}) {
  const worker = new Worker(ADDRESS);
  let last, stop;
  const done = new Promise((resolve, reject) => {
    stop = () => (worker.terminate(), resolve(last));
    worker.onmessage = ({ data }) => (data ? onPart((last = data)) : stop());
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  worker.postMessage({ job, args });
  return { done, stop };
}

/** Eight digits as people type them; an Error in words for readers. */
function readTokens(typed) {
  const letters = [...String(typed).replace(/[\s,]/g, "")];
  const wrong = letters.slice(0, LENGTH).findIndex((one) => !/[0-3]/.test(one));
  if (wrong < 0 && letters.length === LENGTH) return letters.map(Number);
  const many = letters.length < LENGTH ? "so far" : "are too many";
  const length = `${letters.length} digits ${many}`;
  const what = wrong < 0 ? length : `x${wrong} is “${letters[wrong]}”`;
  throw new Error(`${what}: type eight digits from 0 to 3, as in ${EXAMPLE}.`);
}

function readNumber(what, typed, largest, example) {
  const found = /^\s*\d+\s*$/.test(typed) ? Number(typed) : Infinity;
  if (found <= largest) return found;
  const allowed = `a whole number from 0 to ${number(largest)}, as in ${example}`;
  throw new Error(`The ${what} is “${typed}”: type ${allowed}.`);
}

const readSeed = (typed) => readNumber("seed", typed, 999_999, 7);

/** Say what changed, also to who cannot see it. */
function say(words) {
  put("#alert", "");
  put("#status", words);
}

/** Do what may fail by what a reader gave: then that is said there, and nothing changes. */
async function trying(action) {
  try {
    await action();
  } catch (error) {
    document.activeElement.closest(".place")?.append($("#alert"));
    put("#alert", error.message);
  }
}

/** What the switches say, as `Model.answer` takes it. */
function edits() {
  const form = Object.fromEntries(new FormData($("#switches")));
  const { attention, mlp, route, x7 } = form;
  const written = attention === "mean" && state.measured.written;
  const nothing = times(LENGTH, () => vector());
  const pushed = { zero: nothing, mean: state.measured?.pushed }[mlp];
  const ideal = attention === "ideal";
  return { ideal, written, pushed, route, x7: Number(x7) };
}

const target = (output) => successor(state.x[LENGTH - 1 - output]);

/** Each answer with its pattern and place; while it writes alone, those so far. */
function answers() {
  const { model, measured, said } = state;
  const tokens = sequenceOf(state.x);
  return times(said?.length ?? LENGTH, (i) => {
    if (said && i > 0) tokens[LENGTH + i] = said[i - 1];
    const token = model.answer(tokens, i, edits());
    const place = measured && placeOf(measured, i, model.run.written);
    const { pattern: all } = model.run;
    const pattern = [...all.slice(0, LENGTH + 1), sum(all.slice(LENGTH + 1))];
    const isRight = token === target(i);
    const says = `${nameOf(token)} ${mark(isRight)}`;
    return { token, place, pattern, says, isRight };
  });
}

/** All answers in words. */
function inWords(found) {
  const wrong = found.flatMap(({ isRight }, i) => (isRight ? [] : `y${i}`));
  const tokens = found.map(({ token }) => nameOf(token)).join("");
  const verdict = wrong.length ? `wrong at ${wrong.join(", ")}` : "all right";
  return `The model says ${tokens}: ${verdict}.`;
}

/** Draw all that can have changed, and say it. */
function draw(what) {
  const { x, said } = state;
  const found = answers();
  $("#typed").value = x.join("");
  put("#target", times(LENGTH, target).join(""));
  HEADS.forEach((head, j) => {
    head.textContent = x[j];
    head.className = `fill${x[j]} on${x[j]}`;
    head.setAttribute("aria-label", `x${j} is ${x[j]}`);
  });
  document.body.classList.toggle("silent", Boolean(edits().written));
  $$("#pattern tbody tr").forEach((row, i) => drawRow(row, i, found[i]));
  const next = said?.length === LENGTH ? "Show all again" : "Let it write";
  put("#write", writing ? "Stop" : next);
  drawPicture(found[state.output]);
  if (what) say(`${what} ${said ? "" : inWords(found)}`);
}

function drawRow(row, i, found) {
  row.classList.toggle("chosen", i === state.output);
  row.querySelector("button").setAttribute("aria-pressed", i === state.output);
  row.querySelectorAll(".weight").forEach((cell, p) => {
    const weight = found?.pattern[p] ?? 0;
    const shown = weight >= 0.05 ? weight.toFixed(2) : "";
    cell.style.setProperty("--weight", weight);
    cell.textContent = shown.replace(/^0|\.00$/, "");
  });
  const [answer, verdict] = row.querySelectorAll(".answer b, .verdict");
  answer.className = found ? `fill${found.token} on${found.token}` : "";
  answer.textContent = found ? nameOf(found.token) : "";
  verdict.textContent = found ? mark(found.isRight) : "";
}

function drawPicture(found) {
  const { model, measured, output, x } = state;
  const mlp = Number($("#mlp").value);
  put("#mlp-value", mlp.toFixed(2));
  const source = `x${7 - output}`;
  put("#source", source);
  if (!measured || !found) return;
  const dots = sum(linesOf(model, measured, output, 1).isRight);
  const fails = `the one-number picture fails, ${dots} of 4 dots right`;
  const title = dots < DIGITS ? fails : "the highest line is the answer";
  put("#picture-title", `y${output}: ${title}`);
  const which = { output, mlp, place: found.place };
  put("#lines-says", drawLines($("#lines"), model, measured, which));
  const top = linesOf(model, measured, output, mlp).says(found.place);
  const place = `${source} = ${x[7 - output]}, ▼ at ${found.place.toFixed(1)}`;
  const both = `the picture says ${nameOf(top)}, the model ${found.says}`;
  put("#place", `Your input: ${place}: ${both}.`);
  document.body.classList.toggle("differing", top !== found.token);
}

function setInput(x, what) {
  stopWriting();
  [state.x, state.said] = [x, null];
  draw(what);
}

function setDigit(j, digit) {
  const x = state.x.with(j, (digit + DIGITS) % DIGITS);
  setInput(x, `x${j} is now ${x[j]}.`);
}

/** Another row, or another strength of the MLP's mean in the picture. */
function look(output) {
  state.output = output;
  draw();
  say($("#lines-says").textContent);
}

let writing = 0; // the timer, while it writes
const stopWriting = () => (writing = clearInterval(writing));

function write() {
  if (writing) return draw(stopWriting());
  if (state.said?.length === LENGTH) return setInput(state.x, "All answers.");
  writing = setInterval(writeNext, 900);
  writeNext();
}

function writeNext() {
  state.said = [...(state.said ?? []), null];
  state.output = state.said.length - 1;
  const { token, says } = answers().at(-1);
  state.said[state.output] = token;
  if (state.said.length === LENGTH) stopWriting();
  draw(`y${state.output}: it writes ${says} and reads on from there.`);
}

let counting = { stop() {} };
let counted = { done: 0 };

/** Count all answers of the model as it is now, in front of the reader. */
async function recount() {
  counting.stop();
  const show = (part) => {
    const { done, right, whole, each } = (counted = part);
    const [hits, all] = [sum(right), done * LENGTH];
    const share = ((100 * hits) / all).toFixed(1);
    $("progress").value = done;
    const answers = `${number(hits)} of ${number(all)} answers right (${share} %)`;
    put("#answers", answers + state.bet);
    put("#inputs", `${number(whole)} of ${number(done)} inputs wholly right`);
    const shares = right.map((n) => n / done);
    drawShares($("#broken"), shares);
    drawInputs($("#map"), each, done);
  };
  const mine = inWorker("count", [state.model.weights, edits()], show);
  counting = mine;
  await mine.done;
  const words = `${$("#answers").textContent}; ${$("#inputs").textContent}`;
  if (mine === counting) say(`Counted: ${words}.`);
}

function switched({ target: { name, value, dataset } }) {
  if (/route|x7/.test(name)) state.output = 0; // x7 is the source of y0
  if (name === "mlp") $("#mlp").value = value === "zero" ? 0 : 1; // the picture follows
  put("#hint", dataset.says ?? "As it is.");
  setInput(state.x);
  return recount();
}

const load = (n) => setInput(input(n), `Input ${input(n).join("")}.`);

function loadFailing() {
  const fails = (n) => counted.each[n] < LENGTH;
  const failing = times(counted.done, Number).filter(fails);
  if (failing.length) load(failing.at(Math.random() * failing.length));
  else say("No input fails, as far as was counted.");
}

let training = null;

async function trainOrStop() {
  if (training) return training.stop();
  const seed = readSeed($("#seed").value);
  const losses = [];
  let latest = null;
  const show = () => {
    const { step, loss, right } = latest;
    put("#progress", `Step ${number(step)}, loss ${loss.toFixed(4)}`);
    drawLoss($("#loss"), losses);
    drawShares($("#learning"), right);
    latest = null;
  };
  training = inWorker("train", [seed], (part) => {
    losses.push(part.loss);
    if (!latest) requestAnimationFrame(show);
    latest = part;
  });
  put("#train button", "Stop");
  say(`Training seed ${seed}.`);
  const end = await training.done.finally(() => {
    training = null;
    put("#train button", "Train");
  });
  if (!end) return;
  const early = !end.stopped && end.step < MAX_STEPS;
  const name = `seed ${seed} after ${number(end.step)} steps`;
  await adopt(end.weights, name, early ? "stopped early" : "failed");
}

/** Put a model into the place of the one that is shown. */
async function adopt(weights, name, otherwise) {
  counting.stop();
  stopWriting();
  counted = { done: 0 };
  $$(".measured").forEach((element) => element.replaceChildren());
  $("progress").value = 0;
  $("#map").width = 256; // which empties it
  const model = new Model(weights);
  Object.assign(state, { model, measured: null, said: null });
  $("#switches").reset();
  $("#mlp").value = 1;
  put("#whose", `Shown is ${name}: being measured …`);
  document.body.classList.toggle("own", weights !== STORED);
  $("#switches").inert = true; // there are no means yet
  draw();
  const jobs = ["measure", "count"].map((job) => inWorker(job, [weights]).done);
  const [measured, { right, whole }] = await Promise.all(jobs);
  if (model !== state.model) return; // another one has come meanwhile
  state.measured = measured;
  $("#switches").inert = false;
  const fails = (i) => (right[i] < INPUTS ? ` y${i}` : "");
  const failing = times(LENGTH, fails).join("");
  const verdict = failing ? otherwise : "exact";
  const facts = `: ${verdict}, ${number(whole)} of ${number(INPUTS)} inputs right, ${rightDots(model, measured)} of 32 dots right (8 outputs × 4 digits)`;
  const details = weights === STORED ? "" : facts;
  put("#whose", `Shown is ${name}${details}.`);
  draw($("#whose").textContent);
  if (weights === STORED) return;
  put("#progress", `Done: ${verdict}${failing && `; mistakes:${failing}`}.`);
  await recount();
}

function onKey(event, j) {
  const { key } = event;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
  const turn = { ArrowUp: 1, ArrowDown: -1 }[key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (step) HEADS[j + step]?.focus();
  else if (turn) setDigit(j, state.x[j] + turn);
  else if (key.length === 1 && key !== " ") {
    trying(() => {
      setDigit(j, readTokens(state.x.with(j, key).join(""))[j]);
      HEADS[j + 1]?.focus();
    });
  } else return;
  event.preventDefault();
}

function start() {
  const stored = () => adopt(STORED, "the ready-made model");
  $("#pattern tbody").innerHTML = $("template").innerHTML.repeat(LENGTH);
  const on = (element, name, action) => element.addEventListener(name, action);
  $$("#pattern tbody tr").forEach((row, i) => {
    row.querySelector("button").textContent = `y${i}`;
    on(row, "click", () => look(i));
  });
  HEADS.forEach((head, j) => {
    on(head, "click", () => setDigit(j, state.x[j] + 1));
    on(head, "keydown", (event) => onKey(event, j));
  });
  const typed = () => setInput(readTokens($("#typed").value), "A new input.");
  on($("#typed"), "input", () => trying(typed));
  on($("#write"), "click", write);
  const bet = () => {
    const share = readNumber("bet", $("#bet").value, 100, 50);
    state.bet = `; bet without MLP: ${share} %`;
    say(state.bet.slice(2));
  };
  on($("#bet"), "input", () => trying(bet));
  const ofMap = (at) => 512 * (at.offsetY | 0) + 2 * (at.offsetX | 0);
  on($("#map"), "click", (event) => load(ofMap(event)));
  on($("#failing"), "click", loadFailing);
  on($("#mlp"), "input", () => look(state.output));
  on($("#switches"), "change", (event) => trying(() => switched(event)));
  on($("#check"), "click", () => trying(recount));
  on($("#back"), "click", () => trying(() => stored().then(recount)));
  on($("#train"), "submit", (event) => {
    event.preventDefault();
    trying(trainOrStop);
  });
  new ResizeObserver(() => draw()).observe($("#lines"));
  if (/\/site\/live\/[^/]*$/.test(location.pathname))
    $("#series").href = "../../README.md"; // the page of a clone
  trying(stored);
}

/** For the curious, and for tests. */
window.series = {
  /** [output][token] for eight digits, as text or as a list. */
  logits(tokens) {
    const sequence = sequenceOf(readTokens([...tokens].join("")));
    const { model } = state;
    const logits = (i) => (model.answer(sequence, i), [...model.run.logits]);
    return times(LENGTH, logits);
  },
  /** How many inputs are answered wholly right, by the model shown or by 360 weights. */
  async countExact(weights = state.model.weights) {
    return (await inWorker("count", [weights]).done).whole;
  },
  /** The last step of a seed's training: { step, loss, right, stopped, weights }. */
  async train(seed, onStep) {
    return inWorker("train", [readSeed(String(seed))], onStep).done;
  },
  /** { loss, flat } of weights, on inputs given by their numbers in the sorted list. */
  gradient(weights, numbers) {
    const sequences = numbers.map((n) => sequenceOf(input(n)));
    const { loss, flat } = new Gradient(new Model(weights)).of(sequences);
    return { loss, flat: [...flat] };
  },
};

start();
