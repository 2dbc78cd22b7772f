// What all scripts share: the data, the colours of the theme, and small helpers.

const data = JSON.parse(document.getElementById("data").textContent);

// What is shown at the moment; everything drawn follows from it and from the data.
const shown = { modes: new Set(), streams: new Set(), repeat: 0, range: null };

const $ = (id) => document.getElementById(id);

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

// Text for Plotly, which reads a little HTML in hovers and labels.
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const seconds = (time, digits = 2) => time.toFixed(digits) + " s";

const thousands = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");

// A mode keeps its colour and its shape everywhere; a hook after a plus changes neither.
const shapes = { ignore: "square", immediate: "triangle-up", graceful: "diamond", drain: "circle" };
const dashes = { ignore: "solid", immediate: "dash", graceful: "dot", drain: "longdash" };
const glyphs = { ignore: "■", immediate: "▲", graceful: "◆", drain: "●" };

function styleOf(mode) {
  const name = mode.split("+")[0];
  const known = name in shapes ? name : "other";
  return {
    name: known,
    colour: colour(known),
    shape: shapes[known] || "star",
    dash: dashes[known] || "dashdot",
    glyph: glyphs[known] || "★",
  };
}

const titleOf = (run) => run.file ? run.mode + " (" + run.file + ")" : run.mode;

// The end of everything that is known of a run.
function endOf(run) {
  let end = run.began + run.took;
  for (const pod of run.pods) for (const [at] of pod.events) end = Math.max(end, at);
  for (const at of run.seconds.at) end = Math.max(end, at + 1);
  for (const at of run.losses.at) end = Math.max(end, at);
  return end;
}

const visibleRuns = () => data.runs.filter((run) => run.repeat === shown.repeat && shown.modes.has(run.mode));

// The lost requests of a run that are shown: indices into the columns of its losses.
function visibleLosses(run) {
  const found = [];
  run.losses.stream.forEach((stream, index) => { if (shown.streams.has(stream)) found.push(index); });
  return found;
}

// Settings that all charts share.
function baseLayout(height) {
  const text = colour("text"), line = colour("line");
  return {
    height,
    margin: { l: 92, r: 12, t: 8, b: 34 },
    paper_bgcolor: colour("ground"),
    plot_bgcolor: colour("ground"),
    font: { family: "system-ui, DejaVu Sans, sans-serif", size: 12, color: text },
    showlegend: false,
    hovermode: "closest",
    hoverlabel: { align: "left", bgcolor: colour("panel"), bordercolor: line, font: { color: text } },
    dragmode: "zoom",
    barmode: "overlay",
    bargap: 0,
    xaxis: {
      range: shown.range.slice(), ticksuffix: " s", gridcolor: line, linecolor: line,
      zeroline: false, automargin: false, showspikes: true, spikemode: "across", spikethickness: 1,
      spikedash: "dot", spikecolor: colour("quiet"),
    },
  };
}

const plotConfig = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false };
