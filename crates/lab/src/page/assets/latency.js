// How latencies are distributed, by mode: what share of requests took longer than a time.

function latencyFigure(runs) {
  const layout = baseLayout(290);
  const traces = runs.filter((run) => run.latency.length).map((run) => {
    const style = styleOf(run.mode);
    const total = run.latency.reduce((sum, bucket) => sum + bucket.count, 0);
    let slower = total;
    const points = run.latency.map((bucket) => { slower -= bucket.count; return [bucket.upto_ms, slower]; }).filter(([, left]) => left > 0);
    return {
      type: "scatter", mode: "lines+markers", name: titleOf(run), meta: "latency", x: points.map(([ms]) => ms), y: points.map(([, left]) => 100 * left / total),
      hovertext: points.map(([ms, left]) => "<b>" + plain(titleOf(run)) + "</b><br>" + thousands(left) + " of " + thousands(total) + " took longer than " + ms + " ms"), hoverinfo: "text",
      line: { color: style.colour, dash: style.dash, width: 2 }, marker: { symbol: style.shape, color: style.colour, size: 7 },
    };
  });
  layout.margin.l = 70;
  layout.margin.b = 48;
  layout.showlegend = true;
  layout.legend = { orientation: "h", y: 1.12, x: 0 };
  layout.xaxis = { type: "log", title: { text: "milliseconds from the intended send to the end" }, gridcolor: colour("line"), fixedrange: true, dtick: 1 };
  layout.yaxis = { type: "log", title: { text: "% of requests slower" }, gridcolor: colour("line"), fixedrange: true, dtick: 1 };
  layout.dragmode = false;
  return { traces, layout };
}
