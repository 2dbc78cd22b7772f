// The charts of one run, on one time axis: its lanes, requests a second, requests in flight.

const laneHeight = 27, chartHeight = 105, gap = 40;

function heightOf(run) {
  return laneCount(run) * laneHeight + 2 * (chartHeight + gap) + 42;
}

const unknownPod = "not known";

// Where nobody tells which pod a request went to, most are in flight at no pod by name.
function isUntold(run) {
  const all = run.seconds.in_flight, sum = (counts) => counts.reduce((total, n) => total + n, 0);
  return all.none !== undefined && 2 * sum(all.none) > Object.values(all).reduce((total, counts) => total + sum(counts), 0);
}

// Losses without a pod have a lane of their own, below the pods.
const homeless = (run) => run.losses.pod.some((pod) => pod < 0);

const laneCount = (run) => run.pods.length + (homeless(run) ? 1 : 0);

function laneTraces(run, end) {
  const bars = {}, marks = {}, traces = [], consumer = consumerOf(run);
  const routed = { base: [], x: [], y: [], text: [] };
  run.pods.forEach((pod, lane) => {
    for (const [phase, from, to] of segmentsOf(run, pod, end)) {
      const bar = bars[phase] = bars[phase] || { base: [], x: [], y: [], text: [] };
      bar.base.push(from); bar.x.push(to - from); bar.y.push(lane);
      bar.text.push("<b>" + plain(pod.name) + "</b><br>" + phases[phase].label + ": " + seconds(from) + " to " + seconds(to)
        + " (" + seconds(to - from) + ")" + (pod.exit ? "<br>ended with " + plain(pod.exit) : ""));
    }
    for (const [from, to] of routedOf(pod, end, consumer)) {
      routed.base.push(from); routed.x.push(to - from); routed.y.push(lane + 0.37);
      routed.text.push("<b>" + plain(pod.name) + "</b><br>the proxy sends new connections: " + seconds(from) + " to " + seconds(to));
    }
    for (const [kind, at, detail] of marksOf(pod)) {
      const mark = marks[kind] = marks[kind] || { x: [], y: [], text: [] };
      mark.x.push(at); mark.y.push(lane + kinds[kind].dy);
      mark.text.push("<b>" + kinds[kind].label + "</b> at " + seconds(at, 3) + (detail ? "<br>" + plain(detail) : "") + "<br>" + plain(pod.name));
    }
  });
  for (const [phase, { colour: name, pattern }] of Object.entries(phases)) {
    if (!bars[phase]) continue;
    traces.push({
      type: "bar", orientation: "h", name: phase, meta: "phase", width: 0.56, ...bars[phase], hovertext: bars[phase].text, text: undefined, hoverinfo: "text",
      marker: { color: colour(name), line: { width: 0 }, pattern: pattern ? { shape: pattern, size: 5, solidity: 0.18, fgcolor: colour("ground"), fillmode: "overlay" } : undefined },
    });
  }
  traces.push({ type: "bar", orientation: "h", name: "routed", meta: "routed", width: 0.1, ...routed, hovertext: routed.text, text: undefined, hoverinfo: "text", marker: { color: colour("routed"), line: { width: 0 } } });
  for (const [kind, mark] of Object.entries(marks)) {
    const bold = kind === "sigterm" || kind === "sigkill";
    traces.push({
      type: "scatter", mode: "markers", name: kind, meta: "mark", x: mark.x, y: mark.y, hovertext: mark.text, hoverinfo: "text", cliponaxis: true,
      marker: { symbol: kinds[kind].symbol, size: kind === "sigterm" ? 17 : kind === "sigkill" ? 15 : 7, color: colour("text"), line: { width: bold ? 2.5 : 1.3, color: kind === "sigkill" ? colour("halo") : colour("text") } },
    });
  }
  return traces;
}

function lossTrace(run) {
  const indices = visibleLosses(run), losses = run.losses;
  const lane = (index) => losses.pod[index] < 0 ? run.pods.length : losses.pod[index];
  return {
    type: "scatter", mode: "markers", name: "lost", meta: "loss", cliponaxis: true,
    x: indices.map((i) => losses.at[i]),
    y: indices.map((i) => lane(i) + jitter(i)),
    customdata: indices.map((i) => losses.n[i]),
    hovertext: indices.map((i) => lossHover(run, i)), hoverinfo: "text",
    marker: { symbol: "x", size: indices.map((i) => lossSize(losses.n[i])), color: colour("lost"), line: { width: 1, color: colour("halo") } },
  };
}

// Where a request failed long after it was sent, a line says so: it was lost by then, and only
// the client did not know it yet.
function waitTrace(run) {
  const x = [], y = [], losses = run.losses;
  for (const i of visibleLosses(run)) {
    if (losses.at[i] - losses.sent[i] < 0.3) continue;
    const lane = (losses.pod[i] < 0 ? run.pods.length : losses.pod[i]) + jitter(i);
    x.push(losses.sent[i], losses.at[i], null);
    y.push(lane, lane, null);
  }
  return { type: "scatter", mode: "lines", name: "waiting", meta: "wait", x, y, hoverinfo: "skip", opacity: 0.45, line: { color: colour("lost"), width: 1 } };
}

// Counts by version in every second, of the streams that are shown.
function perSecond(run) {
  const all = run.seconds, length = all.at.length;
  const everything = shown.streams.size === data.streams.length || Object.keys(all.streams).length === 0;
  if (everything) return { versions: all.versions, lost: all.lost };
  const versions = {}, lost = new Array(length).fill(0);
  for (const [stream, columns] of Object.entries(all.streams)) {
    if (!shown.streams.has(Number(stream))) continue;
    for (const [version, counts] of Object.entries(columns)) {
      const sum = version === "lost" ? lost : versions[version] = versions[version] || new Array(length).fill(0);
      counts.forEach((count, index) => { sum[index] += count; });
    }
  }
  return { versions, lost };
}

function rateTraces(run) {
  const { versions, lost } = perSecond(run), known = versionsOf(run), at = run.seconds.at;
  const middle = at.map((second) => second + 0.5);
  const traces = known.concat(Object.keys(versions).filter((v) => !known.includes(v) && v !== "none")).filter((v) => versions[v]).map((version, index) => ({
    type: "bar", name: version, meta: "rate", yaxis: "y2", x: middle, width: 1, y: versions[version],
    base: index === 0 ? undefined : known.slice(0, index).reduce((sum, v) => sum.map((n, i) => n + ((versions[v] || [])[i] || 0)), at.map(() => 0)),
    hovertext: versions[version].map((n, i) => thousands(n) + " answers of " + plain(version) + "<br>in second " + at[i]), hoverinfo: "text",
    marker: { color: index === 0 ? colour("v1") : colour("v2"), line: { width: 0 } },
  }));
  traces.push({
    type: "bar", name: "lost", meta: "rate", yaxis: "y2", x: middle, width: 1, y: lost.map((n) => -n),
    hovertext: lost.map((n, i) => thousands(n) + " lost<br>in second " + at[i]), hoverinfo: "text",
    marker: { color: colour("lost"), line: { width: 0 }, pattern: { shape: "x", size: 4, solidity: 0.2, fgcolor: colour("ground"), fillmode: "overlay" } },
  });
  return traces;
}

function flightTraces(run) {
  const at = run.seconds.at, pods = run.pods.filter((pod) => run.seconds.in_flight[pod.name]);
  const columns = pods.map((pod) => [pod.name, run.seconds.in_flight[pod.name], servingPhase(run, pod)]);
  const untold = isUntold(run);
  if (run.seconds.in_flight.none) columns.push([untold ? "pods that are not known" : "no pod", run.seconds.in_flight.none, untold ? "starting" : "dead"]);
  return columns.map(([name, counts, phase]) => ({
    type: "scatter", mode: "lines", name, meta: "flight", yaxis: "y3", stackgroup: "flight", x: at.map((second) => second + 0.5), y: counts,
    line: { shape: "hvh", width: 1, color: colour("ground") }, fillcolor: colour(phases[phase].colour),
    hovertext: counts.map((n, i) => n + " in flight at " + plain(name) + "<br>mean of second " + at[i]), hoverinfo: "text", hoveron: "points",
  }));
}

function runFigure(run) {
  const height = heightOf(run), end = endOf(run), lanes = laneCount(run);
  const layout = baseLayout(height), inner = height - 42;
  const share = (pixels) => pixels / inner;
  const axis = { fixedrange: true, gridcolor: colour("line"), zeroline: false, anchor: "x" };
  const labels = run.pods.map(laneLabel).concat(homeless(run) ? [unknownPod] : []);
  const top3 = share(chartHeight), top2 = top3 + share(gap + chartHeight);
  Object.assign(layout.xaxis, { anchor: "y3" });
  layout.yaxis = { ...axis, domain: [top2 + share(gap), 1], range: [lanes - 0.45, -0.55], tickvals: labels.map((_, i) => i), ticktext: labels, showgrid: false };
  layout.yaxis2 = { ...axis, domain: [top3 + share(gap), top2], nticks: 4, zeroline: true, zerolinecolor: colour("quiet"), tickformat: "~s" };
  layout.yaxis3 = { ...axis, domain: [0, top3], nticks: 4, rangemode: "tozero" };
  const caption = (text, y) => ({ text, xref: "paper", yref: "paper", x: 0, y, xanchor: "left", yanchor: "bottom", showarrow: false, font: { size: 12, color: colour("quiet") } });
  layout.annotations = [
    caption("requests a second by version; lost below", top2),
    caption(isUntold(run) ? "in flight (mean of each second; nobody tells at which pod)" : "in flight by pod (mean of each second)", top3),
  ];
  layout.shapes = [run.began, run.began + run.took].map((x) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color: styleOf(run.mode).colour, width: 1.5, dash: "dash" } }));
  return { traces: [...laneTraces(run, end), waitTrace(run), lossTrace(run), ...rateTraces(run), ...flightTraces(run)], layout };
}
