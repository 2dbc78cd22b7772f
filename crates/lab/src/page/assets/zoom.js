// One range of time for all charts.

const whole = () => [0, Math.max(1, ...data.runs.map(endOf)) * 1.01];

// The charts that follow the range.
const timed = () => [...document.querySelectorAll("#timelines .figure")].filter((chart) => chart.data);

let moving = false;

function setRange(from, to) {
  const [first, last] = whole();
  const width = Math.min(Math.max(to - from, 0.02), last - first);
  from = Math.min(Math.max(from, first), last - width);
  shown.range = [from, from + width];
  moving = true;
  for (const chart of timed()) Plotly.relayout(chart, { "xaxis.range": shown.range.slice() });
  moving = false;
  showRange();
}

function showRange() {
  $("range").textContent = shown.range.map((time) => seconds(time)).join(" to ");
}

// From the first pod that leaves to the last loss of what is shown.
function rangeOfLosses() {
  let from = Infinity, to = 0;
  for (const run of visibleRuns()) {
    from = Math.min(from, run.began);
    for (const at of run.losses.at) { from = Math.min(from, at); to = Math.max(to, at); }
  }
  return to > 0 ? [from - 0.5, to + 0.5] : whole();
}

const moves = {
  left: ([a, b]) => [a - (b - a) * 0.2, b - (b - a) * 0.2],
  right: ([a, b]) => [a + (b - a) * 0.2, b + (b - a) * 0.2],
  in: ([a, b]) => [a + (b - a) * 0.2, b - (b - a) * 0.2],
  out: ([a, b]) => [a - (b - a) / 3, b + (b - a) / 3],
  update: rangeOfLosses,
  all: whole,
};

const keys = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", _: "out", 0: "all", u: "update" };

const move = (name) => setRange(...moves[name](shown.range));

// Lets a chart change the range: by dragging in it, by a double click, by keys.
function connect(chart) {
  chart.on("plotly_relayout", (change) => {
    if (!moving && change["xaxis.range[0]"] !== undefined) setRange(change["xaxis.range[0]"], change["xaxis.range[1]"]);
  });
  chart.on("plotly_doubleclick", () => move("all"));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest(".figure")) return;
  const name = keys[event.key];
  if (!name) return;
  event.preventDefault();
  move(name);
}
