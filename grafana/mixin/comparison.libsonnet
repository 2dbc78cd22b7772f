// What each way of shutting down loses in a rolling update.
local lib = (import 'lib.libsonnet') { section:: '#drain-modes-compared-websample-comparison' };

// What the lab's client saw, and the pods. Those of a cluster have no run: there, the range is it.
local lab = 'job=~"$job",instance=~"$instance",run=~"$run",mode=~"$mode"';
local pods = 'job=~"$job",instance=~"$instance",run=~"$run|",mode=~"$mode",version=~"$version"';

local total(by, metric, selector) =
  'sum by (%s) (max_over_time(%s{%s}[$__range]))' % [by, metric, selector];
local rate(by, metric, selector) =
  'sum by (%s) (rate(%s{%s}[$__rate_interval]))' % [by, metric, selector];

local lost = lab + ',outcome!~"ok|unsent|abandoned"';
local lostByMode = total('mode', 'websample_lab_requests_total', lost);
local requests = total('mode', 'websample_lab_requests_total', lab);
local slowest(metric, selector) = 'max by (mode) (max_over_time(%s{%s}[$__range]))' % [metric, selector];
local terminations = total('mode', 'websample_lab_termination_duration_seconds_count', lab);

// Only while requests are sent: of what ends after that, only slow ones are left.
local whileSent(expr) =
  '%s and on (mode) %s > 0' % [expr, rate('mode', 'websample_lab_requests_due_total', lab)];
local percentile(p) = whileSent('histogram_quantile(%s, %s)' % [
  p,
  rate('mode, le', 'websample_lab_request_duration_seconds_bucket', lab),
]);

// The picture's two panels have one time axis, so both leave the same room on its left.
local left = { axisWidth: 176, axisPlacement: 'left' };

local verdict = [
  lib.stat(
    'How many requests did each mode lose?',
    'Requests without a complete, good answer, as a client that never retries saw them: the number of report.json. 0 is the one to have. Colours tell modes apart, and judge nothing.',
    [lib.instant(lostByMode, '{{mode}}')],
  ) + lib.unit('none', 0) + lib.none('no run in this range') + lib.byMode + lib.named('mode') + {
    options+: { colorMode: 'background_solid', textMode: 'value_and_name', wideLayout: false },
  } + lib.at(0, 0, 15, 5),

  lib.table(
    'Which runs are there?',
    'Runs of the day that ends with the range, so that the range of an old run hides later ones. A click on one chooses it, and sets the range to it.',
    [
      lib.column('1000 * min by (run) (min_over_time(process_start_time_seconds{job=~"$job",instance=~"$instance",run=~".+"}[1d])) - 3000'),
      lib.column('1000 * max by (run) (max_over_time(websample_lab_rollout_ended_timestamp_seconds{job=~"$job",instance=~"$instance"}[1d]) > 0) + 10000'),
      lib.column('sum by (run) (max_over_time(websample_lab_requests_total{job=~"$job",instance=~"$instance",outcome!~"ok|unsent|abandoned"}[1d]))'),
    ],
    names={ 'Value #A': 'from', 'Value #B': 'to', 'Value #C': 'lost' },
    order=['run', 'Value #C', 'Value #A', 'Value #B'],
  ) + lib.sorted('run', desc=true) + lib.none('-')
  + lib.cells('run', [
    {
      id: 'links',
      value: [{
        title: 'Show this run',
        url: '/d/websample-comparison?var-run=${__data.fields.run}&from=${__data.fields.from.numeric}&to=${__data.fields.to.numeric}',
        targetBlank: false,
      }],
    },
    { id: 'custom.width', value: 170 },
  ]) + lib.cells('from', [{ id: 'unit', value: 'dateTimeFromNow' }])
  + lib.cells('lost', [{ id: 'custom.width', value: 70 }])
  + lib.cells('to', [{ id: 'custom.hidden', value: true }])
  + lib.at(15, 0, 9, 5),

  lib.table(
    'What did it cost, and why?',
    'The numbers of the table that the command prints; of repeats the slowest counts. Share: lost, of all requests that were due. Replaced in: until the last old pod was gone. Pod gone in: from its deletion, hook included, on average. Cause: the most frequent one.',
    [
      lib.column(lostByMode),
      lib.column(requests),
      lib.column('%s / %s' % [lostByMode, requests]),
      lib.column('topk by (mode) (1, %s > 0)' % total('mode, cause', 'websample_lab_losses_total', lab)),
      lib.column(slowest('websample_lab_rollout_duration_seconds', lab) + ' > 0'),
      lib.column('%s / (%s > 0)' % [
        total('mode', 'websample_lab_pod_deletion_duration_seconds_sum', lab),
        total('mode', 'websample_lab_pod_deletion_duration_seconds_count', lab),
      ]),
      lib.column('%s or 0 * %s' % [total('mode', 'websample_lab_termination_duration_seconds_count', lab + ',exit="137"'), terminations]),
      lib.column(slowest('websample_lab_request_latency_seconds', lab + ',percentile="p99"') + ' > 0'),
    ],
    hidden=['Value #D'],
    names={
      'Value #A': 'lost',
      'Value #B': 'requests',
      'Value #C': 'share',
      'Value #E': 'replaced in',
      'Value #F': 'pod gone in',
      'Value #G': 'killed',
      'Value #H': 'p99',
      cause: 'most frequent cause',
    },
    order=['mode', 'Value #A', 'Value #B', 'Value #C', 'cause', 'Value #E', 'Value #F', 'Value #G', 'Value #H'],
  ) + lib.sorted('mode') + lib.none('-') + lib.modeColumn
  + lib.cells('lost', [{ id: 'custom.width', value: 80 }])
  + lib.cells('requests', [{ id: 'custom.width', value: 100 }])
  + lib.cells('share', [{ id: 'unit', value: 'percentunit' }, { id: 'decimals', value: 3 }, { id: 'custom.width', value: 100 }])
  + lib.cells('replaced in', [{ id: 'unit', value: 's' }, { id: 'decimals', value: 1 }, { id: 'custom.width', value: 110 }])
  + lib.cells('pod gone in', [{ id: 'unit', value: 's' }, { id: 'decimals', value: 1 }, { id: 'custom.width', value: 110 }])
  + lib.cells('killed', [{ id: 'custom.width', value: 80 }])
  + lib.cells('p99', [{ id: 'unit', value: 's' }, { id: 'decimals', value: 3 }, { id: 'custom.width', value: 100 }])
  + lib.at(0, 5, 24, 7),
];

local picture = [
  lib.lines(
    'When did each mode lose requests?',
    'Lost so far. Look down from a rise: what the pods of that mode were doing at that moment is in the panel below, whose time axis is this one.',
    [lib.range('sum by (mode) (websample_lab_requests_total{%s})' % lost, '{{mode}}')],
  ) + lib.unit('none', 0) + lib.byMode
  + lib.custom(left { lineInterpolation: 'stepAfter', showPoints: 'never' }) + lib.named('mode')
  + lib.at(0, 0, 24, 7),

  lib.timeline(
    'What was each pod doing meanwhile?',
    'A row a pod, under the row of the requests that its mode lost. Losses that begin with the violet of draining were on their way to a pod that took no more; losses where a row just ends met a pod that was gone.',
    [lib.range(
      '%s or label_replace(6 * (%s > 0) ^ 0, "pod", "(lost requests)", "", "")' % [
        lib.phaseNumber('mode, pod', pods),
        rate('mode', 'websample_lab_requests_total', lost),
      ],
      '{{mode}} {{pod}}',
    )],
    more={ '6': { text: 'requests lost', color: lib.bad, index: 5 } },
  ) + lib.at(0, 7, 24, 20),
];

local client = [
  lib.matrix(
    'Why were requests lost?',
    'Each lost request was joined with what its pod was doing: the causes of the report, known once a repeat is over.',
    '%s > 0' % total('mode, cause', 'websample_lab_losses_total', lab),
    'mode',
    'cause',
  ) + lib.none('nothing was lost') + lib.modeColumn + lib.at(0, 0, 24, 6),
  lib.matrix(
    'How did the lost requests end?',
    'What the client saw of them. Refused: no listener. Reset: closed before the answer; reset_reused: an idle connection closed under the request. Truncated: closed within the answer.',
    '%s > 0' % total('mode, outcome', 'websample_lab_requests_total', lost),
    'mode',
    'outcome',
  ) + lib.none('nothing was lost') + lib.modeColumn + lib.at(0, 6, 24, 6),
  lib.lines(
    'How long do requests take?',
    'From the intended send time to the end, while requests are sent. The dashed line is the median. A slow request of the mix takes 5 s in every mode.',
    [
      lib.range(percentile('0.99'), '{{mode}} p99'),
      lib.range(percentile('0.5'), '{{mode}} p50'),
    ],
  ) + lib.unit('s') + lib.byMode + lib.overrides([lib.dashed('/p50$/')]) + lib.at(0, 12, 12, 8),
  lib.lines(
    'Are requests answered as they are offered?',
    'Well answered, and (dashed) offered. The load is open loop: it does not slow down for a server that does. Where the lines part, requests were lost or late.',
    [
      lib.range(rate('mode', 'websample_lab_requests_total', lab + ',outcome="ok"'), '{{mode}} answered'),
      lib.range(rate('mode', 'websample_lab_requests_due_total', lab), '{{mode}} offered'),
    ],
  ) + lib.unit('reqps') + lib.byMode + lib.overrides([lib.dashed('/offered$/')]) + lib.at(12, 12, 12, 8),
];

local rollout = [
  lib.lines(
    'How many pods are ready?',
    'By mode; the dashed line is the old version. The sum of both should not fall below what the Deployment may lack.',
    [lib.range('sum by (mode, version) (websample_lab_pods{%s,version=~"$version",state="ready"})' % lab, '{{mode}} {{version}}')],
  ) + lib.unit('none', 0) + lib.byMode + lib.custom({ lineInterpolation: 'stepAfter', showPoints: 'never' })
  + lib.overrides([lib.dashed('/ v1$/')]) + lib.at(0, 0, 12, 8),
  lib.lines(
    'Which version answers?',
    'Good answers a second; the dashed line is the old version.',
    [lib.range(rate('mode, version', 'websample_lab_requests_total', lab + ',version=~"$version",outcome="ok"'), '{{mode}} {{version}}')],
  ) + lib.unit('reqps') + lib.byMode + lib.overrides([lib.dashed('/ v1$/')]) + lib.at(12, 0, 12, 8),
  lib.lines(
    'How much is in flight in the busiest pod?',
    'Requests being served, to the last byte. On a pod that is on its way out it has to come to 0 before the deadline.',
    [lib.range('max by (mode) (websample_http_requests_in_flight{%s})' % pods, '{{mode}}')],
  ) + lib.unit('none', 0) + lib.byMode + lib.custom({ showPoints: 'never' }) + lib.named('mode') + lib.at(0, 8, 12, 8),
  lib.table(
    'How did the old pods go?',
    'On SIGTERM: the processes that ended so, from outside. Late: requests that came to pods which were already going, and the latest of them after the start of the end. Cut off: given up at the deadline.',
    [
      lib.column('%s / (%s > 0)' % [total('mode', 'websample_lab_termination_duration_seconds_sum', lab), terminations]),
      lib.column(total('mode', 'websample_http_requests_total', pods + ',phase!="serving"')),
      lib.column(slowest('websample_drain_last_arrival_seconds', pods)),
      lib.column(total('mode', 'websample_http_requests_cut_off_total', pods)),
      lib.column(total('mode', 'websample_termination_signals_total', pods)),
    ],
    names={
      'Value #A': 'SIGTERM to exit',
      'Value #B': 'late',
      'Value #C': 'latest',
      'Value #D': 'cut off',
      'Value #E': 'signals seen',
    },
    order=['mode', 'Value #A', 'Value #B', 'Value #C', 'Value #D', 'Value #E'],
  ) + lib.sorted('mode') + lib.none('-') + lib.modeColumn
  + lib.cells('SIGTERM to exit', [{ id: 'unit', value: 's' }, { id: 'decimals', value: 2 }, { id: 'custom.width', value: 140 }])
  + lib.cells('late', [{ id: 'custom.width', value: 70 }])
  + lib.cells('latest', [{ id: 'unit', value: 's' }, { id: 'decimals', value: 2 }, { id: 'custom.width', value: 80 }])
  + lib.cells('cut off', [{ id: 'custom.width', value: 80 }])
  + lib.cells('signals seen', [{ id: 'custom.width', value: 110 }])
  + lib.at(12, 8, 12, 8),
  lib.matrix(
    'With which exit codes did old pods end?',
    '0: clean. 3: something was cut off at the deadline. 137: killed when the grace period was over. 143: ended by the signal itself.',
    '%s > 0' % total('mode, exit', 'websample_lab_termination_duration_seconds_count', lab),
    'mode',
    'exit',
  ) + lib.modeColumn + lib.at(0, 16, 12, 8),
  lib.table(
    'How long did each pod take to drain?',
    'From the start of its end to drained, by its own clock. Pods that end without draining are not here.',
    [lib.column(lib.drain('mode, pod', pods, '$__range'))],
    names={ Value: 'drained in' },
    order=['mode', 'pod', 'Value'],
  ) + lib.sorted('drained in', desc=true) + lib.none('no pod drained') + lib.modeColumn
  + lib.cells('drained in', [{ id: 'unit', value: 's' }, { id: 'decimals', value: 2 }])
  + lib.at(12, 16, 12, 8),
];

local trust = [
  lib.table(
    'Are the numbers complete?',
    'Last scrapes: the share of old pods that were scraped once more after their drain; 0 % where a mode does not drain. Not sent: requests that the load generator could not send, or gave up at the end; above 0, loss is a lower bound.',
    [
      lib.column('(count by (mode) (max_over_time(websample_lifecycle_phase{%s,phase="drained"}[$__range]) == 1) or 0 * %s) / (%s > 0)' % [pods, terminations, terminations]),
      lib.column(total('mode', 'websample_lab_requests_total', lab + ',outcome=~"unsent|abandoned"')),
    ],
    names={ 'Value #A': 'last scrapes', 'Value #B': 'not sent' },
    order=['mode', 'Value #A', 'Value #B'],
  ) + lib.sorted('mode') + lib.none('-') + lib.modeColumn
  + lib.cells('last scrapes', [{ id: 'unit', value: 'percentunit' }, { id: 'decimals', value: 0 }])
  + lib.at(0, 0, 12, 8),
  lib.lines(
    'How many pods answer scrapes?',
    'It falls when pods go; where it falls while they are there, the rows of the pods above have holes.',
    [lib.range('sum by (mode) (up{%s})' % pods, '{{mode}}')],
  ) + lib.unit('none', 0) + lib.byMode + lib.custom({ lineInterpolation: 'stepAfter', showPoints: 'never' }) + lib.named('mode') + lib.at(12, 0, 12, 8),
];

local instants(name) =
  '1000 * (max by (mode) (max_over_time(websample_lab_rollout_%s_timestamp_seconds{%s}[1m])) > 0)' % [name, lab];
local known = '{__name__=~"websample_lifecycle_phase|websample_lab_requests_total"%s}';

lib.board(
  'websample-comparison',
  'websample / Drain modes compared',
  'What each way of shutting down loses in a rolling update: the same update, under the same load, once for each mode. Fed by `websample rollout --metrics`; the variable `run` chooses one of its runs.',
  ['rollout'],
  [
    lib.row('Verdict', verdict),
    lib.row('When and where', picture),
    lib.row('Client', client, folded=true),
    lib.row('Rollout', rollout, folded=true),
    lib.row('Trust', trust, folded=true),
  ],
  [
    lib.variable(
      'job', 'Job', 'The lab, and the pods it runs. Leave it on All: the verdict needs the one, the phases need the others.',
      'label_values(%s, job)' % (known % ''),
    ) + lib.several('.+'),
    lib.variable(
      'instance', 'Instance', 'A single server, by its address. The lab is one too: without it the verdict is empty.',
      'label_values(%s, instance)' % (known % ',job=~"$job"'),
    ) + lib.several('.+'),
    lib.variable(
      'run', 'Run', 'One rollout with its repeats, by the time at which it began; at first the newest in the range.',
      'label_values(websample_lab_requests_total{job=~"$job",instance=~"$instance"}, run)',
    ) + { sort: 2 },
    lib.variable(
      'mode', 'Mode', 'What a server does on SIGTERM.',
      'label_values(%s, mode)' % (known % ',job=~"$job",instance=~"$instance"'),
    ) + lib.several('.+'),
    lib.variable(
      'version', 'Version', 'Before (v1) and after (v2) the update. Requests that got no answer have none.',
      'label_values(websample_lifecycle_phase{job=~"$job",instance=~"$instance",mode=~"$mode"}, version)',
    ) + lib.several('.+'),
  ],
  [
    lib.annotation('Update began', 'text', instants('began'), 'update began', '{{mode}}', [6]) + { tagKeys: 'mode' },
    lib.annotation('Update ended', lib.phases.serving, instants('ended'), 'last old pod gone', '{{mode}}', [6]) + { tagKeys: 'mode' },
  ],
  '10s',
  'now-5m',
)
