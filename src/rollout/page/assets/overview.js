// All modes on one time axis, a row each: how long the update took, and every lost request.

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
    const indices = visibleLosses(run), losses = run.losses;
    traces.push({
      type: "scatter", mode: "markers", name: titleOf(run) + " lost", meta: "loss",
      x: indices.map((i) => losses.at[i]), y: indices.map((i) => row + jitter(i)), customdata: indices.map((i) => losses.n[i]),
      hovertext: indices.map((i) => lossHover(run, i)), hoverinfo: "text",
      marker: { symbol: "x", size: indices.map((i) => lossSize(losses.n[i])), color: colour("lost"), line: { width: 1, color: colour("halo") } },
    });
  });
  layout.yaxis = {
    fixedrange: true, showgrid: false, zeroline: false, range: [runs.length - 0.5, -0.5],
    tickvals: runs.map((_, i) => i), ticktext: runs.map((run) => styleOf(run.mode).glyph + " " + plain(titleOf(run))), automargin: true,
  };
  layout.margin.r = 12;
  layout.annotations = runs.map((run, row) => ({
    x: 1, xref: "paper", y: row, xanchor: "right", showarrow: false, bgcolor: colour("ground"), borderpad: 3, opacity: 0.92,
    xshift: 8,
    text: run.lost ? "<b>✖ " + thousands(run.lost) + " lost</b>" : "nothing lost",
    font: { size: 14, color: run.lost ? colour("lost") : colour("text") },
  }));
  return { traces, layout };
}
