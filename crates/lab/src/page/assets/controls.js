// What is shown: modes, streams, which repeat, the theme; and the charts drawn anew after that.

function draw(chart, { traces, layout }) {
  const first = !chart.data;
  Plotly.react(chart, traces, layout, plotConfig);
  if (first && chart.closest("#timelines")) connect(chart);
}

// A section a run, in the order of the data; those that are hidden are not kept.
function placeRuns() {
  const runs = visibleRuns(), box = $("runs");
  for (const section of [...box.children]) {
    if (runs.some((run) => data.runs.indexOf(run) === Number(section.dataset.run))) continue;
    Plotly.purge(section.querySelector(".figure"));
    section.remove();
  }
  runs.forEach((run, place) => {
    if (!chartOf(run)) box.insertBefore(runSection(run, data.runs.indexOf(run)), box.children[place] || null);
  });
  return runs;
}

const chartOf = (run) => $("runs").querySelector('[data-run="' + data.runs.indexOf(run) + '"] .figure');

function runSection(run, index) {
  const style = styleOf(run.mode);
  const words = element("p");
  if (run.lost) words.append(element("b", {}, "✖ " + thousands(run.lost) + " lost"), " of " + thousands(run.requests) + ": " + reasons(run));
  else words.append("Nothing lost of " + thousands(run.requests) + ".");
  const kept = run.losses.n.reduce((sum, n) => sum + n, 0);
  if (kept < run.lost) words.append(" " + thousands(run.lost - kept) + " of them have no mark: they are in the counts a second below.");
  const reserved = "min-height: " + heightOf(run) + "px";
  return element("section", { class: "run " + style.name, "data-run": index },
    element("h3", {}, element("span", { class: "mode " + style.name }, element("i", { "aria-hidden": "true" }, style.glyph), " " + titleOf(run))), words,
    element("div", { class: "figure", style: reserved, tabindex: 0, role: "group", "aria-label": "Timeline of " + titleOf(run) + ": " + words.textContent + " Arrow keys move, plus and minus zoom, 0 shows everything." }));
}

const sentence = (text, count) => count === 1 ? text.replace(/^were /, "was ") : text;

function reasons(run) {
  const counts = run.losses.causes.map(() => 0);
  run.losses.cause.forEach((cause, index) => { counts[cause] += run.losses.n[index]; });
  const order = counts.map((_, i) => i).sort((a, b) => counts[b] - counts[a]);
  return order.map((i) => thousands(counts[i]) + " " + sentence(run.losses.causes[i][1], counts[i])).join("; ") + ".";
}

function drawAll() {
  const runs = placeRuns();
  drawAround(runs);
  for (const run of runs) draw(chartOf(run), runFigure(run));
}

// The same with a breath after each chart: the page answers while those below are drawn.
async function drawOneByOne() {
  drawAround(placeRuns());
  for (const run of visibleRuns()) {
    await new Promise((resume) => setTimeout(resume));
    const chart = chartOf(run);
    if (chart && !chart.data) draw(chart, runFigure(run));
  }
}

function drawAround(runs) {
  draw($("overview"), overviewFigure(runs));
  draw($("latency"), latencyFigure(runs));
  for (const card of document.querySelectorAll(".card")) card.hidden = !shown.modes.has(card.dataset.mode);
  drawKey();
}

// The key, once for all charts.
function drawKey() {
  const box = $("key");
  const swatch = (name, inner) => { const item = element("span"); item.innerHTML = '<svg viewBox="0 0 26 14" aria-hidden="true">' + inner + "</svg>"; item.append(name); return item; };
  const hatch = { hook: "M2 14L12 0M10 14L20 0M18 14L26 3", stopping: "M2 0L12 14M10 0L20 14M18 0L26 11", dead: "M2 0L12 14M10 0L20 14M18 0L26 11M2 14L12 0M10 14L20 0M18 14L26 3" };
  const bar = (phase) => '<rect width="26" height="14" fill="' + colour(phases[phase].colour) + '"/><path d="' + (hatch[phase] || "") + '" stroke="' + colour("ground") + '"/>';
  const stroke = 'fill="none" stroke="' + colour("text") + '" stroke-width="1.6"';
  const solid = 'fill="' + colour("text") + '"';
  const glyph = {
    hook_called: '<path d="M8 3H18L13 11Z" ' + stroke + "/>", ready: '<circle cx="13" cy="7" r="4.5" ' + solid + "/>", not_ready: '<circle cx="13" cy="7" r="4.5" ' + stroke + "/>",
    endpoint: '<rect x="9" y="3" width="8" height="8" ' + stroke + "/>", proxy: '<path d="M13 2L18 7L13 12L8 7Z" ' + stroke + "/>",
    sigterm: '<path d="M13 -1V15" stroke="' + colour("text") + '" stroke-width="3"/>', sigkill: '<path d="M13 0L15 5H20L16 8L18 14L13 10L8 14L10 8L6 5H11Z" ' + solid + "/>",
  };
  box.replaceChildren(
    swatch("lost request", '<path d="M8 2L18 12M18 2L8 12" stroke="' + colour("lost") + '" stroke-width="4"/>'),
    swatch("from its sending to its failure", '<path d="M0 7H26" stroke="' + colour("lost") + '" opacity="0.6"/>'),
    ...Object.keys(phases).map((phase) => swatch(phases[phase].label, bar(phase))),
    swatch("the proxy sends it new connections", '<rect y="5" width="26" height="4" fill="' + colour("routed") + '"/>'),
    ...Object.entries(glyph).map(([kind, inner]) => swatch(kinds[kind].label, inner)),
    swatch("the update begins, and ends", '<path d="M4 -1V15M22 -1V15" stroke="' + colour("quiet") + '" stroke-width="2" stroke-dasharray="4 2"/>'),
  );
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  if (shown.range) drawAll();
}

function setUpControls() {
  for (const run of data.runs) shown.modes.add(run.mode);
  data.streams.forEach((name, index) => {
    shown.streams.add(index);
    const box = element("input", { type: "checkbox", "data-stream": index });
    box.checked = true;
    $("streams").append(element("label", {}, box, " " + name));
  });
  const repeats = [...new Set(data.runs.map((run) => run.repeat))];
  const lostIn = (repeat) => data.runs.filter((run) => run.repeat === repeat).reduce((sum, run) => sum + run.lost, 0);
  // The worst is what the meeting is about.
  shown.repeat = repeats.reduce((worst, repeat) => lostIn(repeat) > lostIn(worst) ? repeat : worst, repeats[0]);
  $("repeats").hidden = repeats.length < 2;
  for (const repeat of repeats) $("repeat").append(element("option", { value: repeat }, repeat + 1 + " of " + repeats.length + ": " + thousands(lostIn(repeat)) + " lost"));
  $("repeat").value = shown.repeat;

  $("toolbar").addEventListener("submit", (event) => event.preventDefault());
  $("toolbar").addEventListener("change", (event) => {
    const { mode, stream } = event.target.dataset;
    const toggle = (set, key) => event.target.checked ? set.add(key) : set.delete(key);
    if (mode !== undefined) toggle(shown.modes, mode);
    if (stream !== undefined) toggle(shown.streams, Number(stream));
    if (event.target.id === "repeat") shown.repeat = Number(event.target.value);
    drawAll();
  });
  $("toolbar").addEventListener("click", (event) => { if (event.target.dataset.zoom) move(event.target.dataset.zoom); });
  document.addEventListener("keydown", onKey);
  $("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));

  // Paper is white, and as wide as it is.
  let before = null;
  const fit = (width) => { for (const chart of document.querySelectorAll(".figure")) if (chart.data) Plotly.relayout(chart, width ? { width, autosize: false } : { width: undefined, autosize: true }); };
  addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; setTheme("light"); fit(1040); });
  addEventListener("afterprint", () => { fit(null); setTheme(before); });
}
