// What moves on a page of the series: figures are drawn when they come near, and a prediction hides
// what comes after it until the reader has made it. Without this script all of it is there, still.

// ---------------------------------------------------------------- figures

const scripts = new URL(".", document.currentScript.src);
let plotly; // the promise that plotly.js is there; it is large, and some pages need none of it

function load() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: new URL("plotly.min.js", scripts), onload: resolve, onerror: reject });
    document.head.append(script);
  });
  return plotly;
}

async function draw(place) {
  await load();
  const picture = place.querySelector("img");
  const { data, layout, config } = JSON.parse(place.querySelector("script").textContent);
  const figure = document.createElement("div");
  figure.setAttribute("role", "figure");
  figure.setAttribute("aria-label", picture.alt);
  figure.style.height = `${layout.height}px`;
  picture.replaceWith(figure);
  await Plotly.newPlot(figure, data, { ...layout, autosize: true }, { ...config, responsive: true });
}

const near = new IntersectionObserver(
  (seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "600px" },
);

// ---------------------------------------------------------------- predictions

const follows = (one, other) => one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
const NOTHING = "no prediction made"; // as `helpers.page.compare` prints it

function ask(forms) {
  const blocks = document.querySelectorAll("article section > :not(section)");
  const compared = [...document.querySelectorAll(".cell_output pre")].filter((output) =>
    output.textContent.startsWith(NOTHING),
  );
  const answers = forms.map(() => null); // null until it is given, "" where it was skipped

  function show() {
    const open = forms[answers.indexOf(null)];
    for (const block of blocks) {
      // What is hidden so is still found by the browser's own search.
      if (open && follows(open, block) && !open.contains(block)) block.setAttribute("hidden", "until-found");
      else block.removeAttribute("hidden");
    }
  }

  function answer(i, text) {
    const form = forms[i];
    const said = document.createElement("p");
    said.textContent = text ? `Your answer: ${text}` : "Skipped.";
    said.className = "ask";
    said.tabIndex = -1;
    form.replaceChildren(said);
    answers[i] = text;
    const output = compared.find((one) => follows(form, one));
    if (text && output) output.textContent = output.textContent.replace(NOTHING, `predicted ${text}`);
    show();
    return said;
  }

  const skip = (some) => forms.forEach((form, i) => answers[i] === null && some(form) && answer(i, ""));
  const skipTo = (place) => skip((form) => follows(form, place));

  forms.forEach((form, i) => {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      answer(i, form.querySelector("input").value.trim()).focus();
    });
    form.querySelector("[value=skip]").addEventListener("click", () => answer(i, "").focus());
    form.querySelector("[value=all]").addEventListener("click", () => {
      const said = answer(i, "");
      skip(() => true);
      said.focus();
    });
  });
  document.addEventListener("beforematch", ({ target }) => skipTo(target));
  const jump = () => {
    const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    skipTo(place);
    place.scrollIntoView();
  };
  addEventListener("hashchange", jump);
  show();
  jump();
}

document.querySelectorAll(".plot").forEach((place) => near.observe(place));
const forms = [...document.querySelectorAll("form.ask")];
if (forms.length) ask(forms);
