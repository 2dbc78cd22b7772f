// A pod's lane: its phases, who still sends to it, and the marks of what happened to it.

const phases = {
  starting: { label: "starting, not ready", colour: "starting" },
  v1: { label: "serving, old version", colour: "v1" },
  v2: { label: "serving, new version", colour: "v2" },
  hook: { label: "leaving: preStop hook", colour: "hook", pattern: "/" },
  stopping: { label: "leaving: after SIGTERM", colour: "stopping", pattern: "\\" },
  dead: { label: "process ended, address left", colour: "dead", pattern: "x" },
};

// Each kind has a height in the lane of its own: several happen at the same instant.
const kinds = {
  hook_called: { label: "preStop hook called", symbol: "triangle-down-open", dy: -0.37 },
  hook_failed: { label: "preStop hook failed", symbol: "triangle-down", dy: -0.37 },
  ready: { label: "ready", symbol: "circle", dy: -0.37 },
  not_ready: { label: "not ready", symbol: "circle-open", dy: -0.37 },
  endpoint: { label: "endpoint changed", symbol: "square-open", dy: -0.19 },
  proxy: { label: "proxy changed", symbol: "diamond-open", dy: 0.37 },
  sigterm: { label: "SIGTERM", symbol: "line-ns", dy: 0 },
  sigkill: { label: "SIGKILL", symbol: "star", dy: 0 },
  crash: { label: "process ended by itself", symbol: "bowtie", dy: 0 },
  handed_over: { label: "handed over to the next process", symbol: "triangle-right", dy: 0 },
};

const versionsOf = (run) => [...new Set(run.pods.map((pod) => pod.version))];

// The first version that appears is the old one.
const servingPhase = (run, pod) => versionsOf(run).indexOf(pod.version) === 0 ? "v1" : "v2";

const laneLabel = (pod) => pod.version + " " + pod.name.split("-").pop();

// The phases of a pod: [name, from, to].
function segmentsOf(run, pod, end) {
  const segments = [];
  let phase = null, from = 0, deleted = false;
  const enter = (next, at) => {
    if (phase && at > from) segments.push([phase, from, at]);
    phase = next;
    from = at;
  };
  for (const [at, what] of pod.events) {
    if (what === "created" || what === "restarted") enter(deleted ? "stopping" : "starting", at);
    else if (what === "ready" && !deleted) enter(servingPhase(run, pod), at);
    else if (what === "not_ready" && !deleted && phase !== "dead") enter("starting", at);
    else if (what === "deleted") { deleted = true; enter("hook", at); }
    else if (what === "sigterm") enter("stopping", at);
    else if (what === "exited") enter("dead", at);
    else if (what === "removed" || what === "sandbox_gone") enter(null, at);
  }
  enter(null, end);
  return segments;
}

// Whose view of the endpoints the requests met: a proxy's, where they went through one.
function consumerOf(run) {
  const names = new Set();
  for (const pod of run.pods) for (const [, what, detail] of pod.events) if (what === "proxy_changed") names.add(detail.slice(0, detail.lastIndexOf(": ")));
  return [...names].find((name) => name !== "service") || "service";
}

// When a proxy sent new connections to a pod: [from, to].
function routedOf(pod, end, consumer) {
  const spans = [];
  let since = null;
  for (const [at, what, detail] of pod.events) {
    if (what !== "proxy_changed" || !detail.startsWith(consumer + ": ")) continue;
    const routed = detail.endsWith(": routed");
    if (routed && since === null) since = at;
    if (!routed && since !== null) { spans.push([since, at]); since = null; }
  }
  if (since !== null) spans.push([since, end]);
  return spans;
}

// The marks of a pod: [kind, at, detail].
function marksOf(pod) {
  const marks = [];
  let deleted = false;
  for (const [at, what, detail] of pod.events) {
    if (what === "deleted") deleted = true;
    const kind = what.startsWith("endpoint_ready") ? "endpoint"
      : what === "proxy_changed" ? "proxy"
        : what === "exited" && !deleted ? "crash" : what;
    if (kind in kinds) marks.push([kind, at, what.startsWith("endpoint") ? what.replace(/_/g, " ") + ", " + detail : detail]);
  }
  return marks;
}

// Lost requests spread over the lane's height, always the same way, so that those lost together
// do not hide each other.
const jitter = (index) => (((index * 0.618034) % 1) - 0.5) * 0.56;

function lossHover(run, index) {
  const losses = run.losses;
  const [name, words] = losses.causes[losses.cause[index]];
  const count = losses.n[index];
  const pod = losses.pod[index] < 0 ? "a pod that is not known" : run.pods[losses.pod[index]].name;
  const after = losses.after[index];
  return "<b>" + (count > 1 ? thousands(count) + " requests lost" : "lost") + " at " + seconds(losses.at[index], 3) + "</b>"
    + (count > 1 ? " (within " + seconds(losses.cell, 3) + ")" : "")
    + "<br>" + plain(sentence(words, count)) + " <i>" + name + "</i>"
    + "<br>seen as " + losses.outcomes[losses.outcome[index]] + ", " + plain(data.streams[losses.stream[index]])
    + "<br>sent at " + seconds(losses.sent[index], 3) + " to " + plain(pod)
    + (after === null ? "" : ", failed " + seconds(after) + " after its SIGTERM");
}

// Marks that stand for more are larger, by area.
const lossSize = (count) => Math.min(9 + 2 * Math.sqrt(count - 1), 26);
