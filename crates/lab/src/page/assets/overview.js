// All modes on one time axis, a row each: how long the update took, and every lost request.

// The count stands beside the row, where it covers no mark.
function rowLabel(run) {
  const lost = run.lost ? '<b><span style="color: ' + colour("lost") + '">✖ ' + thousands(run.lost) + " lost</span></b>" : "nothing lost";
  return styleOf(run.mode).glyph + " <b>" + plain(titleOf(run)) + "</b><br>" + lost;
}

const maxOverviewMarks = 300;

// The lost requests of a row as marks: [at, count, hover]. Too many are put together by time.
function overviewMarks(run) {
  const losses = run.losses, indices = visibleLosses(run);
  if (indices.length <= maxOverviewMarks) return indices.map((i) => [losses.at[i], losses.n[i], lossHover(run, i)]);
  const [from, to] = whole(), cell = 4 * (to - from) / maxOverviewMarks, cells = new Map();
  for (const i of indices) {
    const key = Math.floor(losses.at[i] / cell), words = losses.causes[losses.cause[i]][1];
    const at = cells.get(key) || { n: 0, causes: {} };
    at.n += losses.n[i];
    at.causes[words] = (at.causes[words] || 0) + losses.n[i];
    cells.set(key, at);
  }
  return [...cells].map(([key, { n, causes }]) => [(key + 0.5) * cell, n,
    "<b>" + thousands(n) + " requests lost</b> from " + seconds(key * cell) + " to " + seconds((key + 1) * cell)
      + Object.entries(causes).map(([words, count]) => "<br>" + thousands(count) + " " + plain(sentence(words, count))).join("")]);
}

function overviewFigure(runs) {
  const layout = baseLayout(runs.length * 46 + 60);
  const traces = [];
  runs.forEach((run, row) => {
    const style = styleOf(run.mode);
    traces.push({
      type: "bar", orientation: "h", name: titleOf(run), meta: "update", base: [run.began], x: [run.took], y: [row], width: 0.74,
      hovertext: ["<b>" + plain(titleOf(run)) + "</b><br>update from " + seconds(run.began) + " to " + seconds(run.began + run.took) + "<br>" + thousands(run.lost) + " of " + thousands(run.requests) + " requests lost"],
      hoverinfo: "text", marker: { color: style.colour, opacity: 0.28, line: { width: 2, color: style.colour } },
    });
    const marks = overviewMarks(run);
    traces.push({
      type: "scatter", mode: "markers", name: titleOf(run) + " lost", meta: "loss",
      x: marks.map(([at]) => at), y: marks.map((_, i) => row + jitter(i)), customdata: marks.map(([, n]) => n),
      hovertext: marks.map(([, , hover]) => hover), hoverinfo: "text",
      marker: { symbol: "x", size: marks.map(([, n]) => lossSize(n)), color: colour("lost"), line: { width: 1, color: colour("halo") } },
    });
  });
  layout.yaxis = {
    fixedrange: true, showgrid: false, zeroline: false, range: [runs.length - 0.5, -0.5],
    tickvals: runs.map((_, i) => i), ticktext: runs.map(rowLabel), automargin: true,
  };
  return { traces, layout };
}
