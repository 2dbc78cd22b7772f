// One job in production, whichever service adopted the framework.
local lib = (import 'lib.libsonnet') { section:: '#a-service-in-production-websample-service' };

local pods = 'job=~"$job",instance=~"$instance",mode=~"$mode",version=~"$version"';
// What a pod is told apart by: pods of two modes of the lab have the same names.
local pod = 'job, instance, mode, pod';
local left = 'mode, version';

local seen(by, phases) =
  'max by (%s) (max_over_time(websample_lifecycle_phase{%s,phase=~"%s"}[$__range])) == 1' % [by, pods, phases];
local up = 'max by (%s) (up{%s}) == 1' % [pod, pods];
local rate(by, metric, more='') = 'sum by (%s) (rate(%s{%s%s}[$__rate_interval]))' % [by, metric, pods, more];
local all(metric, more='') = 'sum(rate(%s{%s%s}[$__rate_interval]))' % [metric, pods, more];
local budget(stage) = 'websample_drain_budget_seconds{%s,stage="%s"}' % [pods, stage];
local ofBudget(by, stage) = 'max by (%s) (max_over_time(%s[$__range]))' % [by, budget(stage)];
local lastArrival(by) = 'max by (%s) (max_over_time(websample_drain_last_arrival_seconds{%s}[$__range]) > 0)' % [by, pods];

// Served, and gone without having been seen on its way out.
local unseen(by) = '%s unless %s unless %s' % [
  seen(by, 'serving'),
  seen(by, 'lame_duck|draining|drained'),
  'max by (%s) (up{%s}) == 1' % [by, pods],
];
local identity = pod + ', version';
local cutOff = 'sum(max_over_time(websample_http_requests_cut_off_total{%s}[$__range]))' % pods;
local deadlineUsed = 'max(%s / %s)' % [lib.drain(pod, pods, '$__range'), ofBudget(pod, 'deadline')];
local delayUsed = 'max(%s / %s)' % [lastArrival(pod), ofBudget(pod, 'delay_min')];
local failing =
  '(sum(increase(websample_http_requests_total{%s,code=~"5.."}[$__range])) or vector(0)) / (sum(increase(websample_http_requests_total{%s}[$__range])) > 0)' % [pods, pods];

// Each reason is a bit, the worse the higher; 0 is yes, and nothing where no pod answers.
local reasons = [
  'count(websample_lifecycle_phase{%s,phase="serving"} == 0) > bool 0' % pods,
  'max((%s > bool 0.8) or (%s > bool 0.8))' % [deadlineUsed, delayUsed],
  failing + ' > bool 0.05',
  '%s > bool 0' % cutOff,
  'count(%s) > bool 0' % unseen(pod),
];
local safe = '(%s) and on () count(%s) > 0' % [
  std.join(' + ', [
    '%d * (%s or vector(0))' % [std.pow(2, at), reasons[at]]
    for at in std.range(0, std.length(reasons) - 1)
  ]),
  up,
];
local answer(from, to, text, color, index) = {
  type: 'range',
  options: { from: from, to: to, result: { text: text, color: color, index: index } },
};

local now = [
  lib.stat(
    'Safe to deploy now?',
    'From what the servers of this range say: all pods serve, few requests fail, and the last drains cut nothing off, fitted their budgets and were seen to their end. It is no more than that: see below.',
    [lib.instant(safe, 'answer')],
  ) + lib.none('cannot tell: no pod answers scrapes') + {
    fieldConfig+: {
      defaults+: {
        color: { mode: 'fixed', fixedColor: '#6E7781' },
        mappings: [
          answer(0, 0, 'yes', lib.modes.drain, 0),
          answer(1, 1, 'wait: not every pod serves', lib.warning, 1),
          answer(2, 3, 'with care: a budget is nearly used', lib.warning, 2),
          answer(4, 7, 'no: requests fail', lib.bad, 3),
          answer(8, 15, 'no: drains cut requests off', lib.bad, 4),
          answer(16, 31, 'no: pods end without draining', lib.bad, 5),
        ],
      },
    },
    options+: { colorMode: 'background_solid' },
  } + lib.at(0, 0, 6, 8),
  lib.stat(
    'Pods ended unseen?',
    'Pods that served, are gone, and were never seen draining: killed, crashed, or in a mode that does not drain. What they had in flight is lost, and no server can count it.',
    [lib.instant('count(%s) or vector(0)' % unseen(pod), 'unseen')],
  ) + lib.unit('none', 0) + lib.severity([[1, lib.bad]])
  + lib.link('Runbook', lib.runbook('VanishedWithoutDraining')) + lib.at(6, 0, 6, 4),
  lib.stat(
    'Requests cut off?',
    'Requests, connections and background work given up at a deadline.',
    [lib.instant(cutOff, 'cut off')],
  ) + lib.unit('none', 0) + lib.severity([[1, lib.bad]]) + lib.none('no pod')
  + lib.link('Runbook', lib.runbook('RequestsCutOff')) + lib.at(12, 0, 6, 4),
  lib.stat(
    'Requests failing?',
    'Answers with a 5xx status, of all that the servers gave. What never reached a server is not in it.',
    [lib.instant(failing, 'failed')],
  ) + lib.unit('percentunit', 2) + lib.severity([[0.01, lib.warning], [0.05, lib.bad]]) + lib.none('no request')
  + lib.link('Runbook', lib.runbook('RequestsFailing')) + lib.at(18, 0, 6, 4),
  lib.stat(
    'Deadline used?',
    'The slowest drain, of the time from the start of the end to the deadline. At 100 % something is cut off.',
    [lib.instant(deadlineUsed, 'used')],
  ) + lib.unit('percentunit', 0) + lib.severity([[0.8, lib.warning], [1, lib.bad]]) + lib.none('no drain')
  + lib.link('Runbook', lib.runbook('DrainNearDeadline')) + lib.at(6, 4, 6, 4),
  lib.stat(
    'Delay used?',
    'How late the last new request came after the start of the end, of delay.min. Beyond 100 %, traffic moved away later than was planned for.',
    [lib.instant(delayUsed, 'used')],
  ) + lib.unit('percentunit', 0) + lib.severity([[0.8, lib.warning], [1, lib.bad]]) + lib.none('no late request')
  + lib.link('Runbook', lib.runbook('DelayTooShort')) + lib.at(12, 4, 6, 4),
  lib.stat(
    'Last scrapes missed?',
    'Pods that were not scraped again after their drain, of those that drained and are gone. What they cut off is not known.',
    [lib.instant(
      '1 - (count(%s unless %s) or 0 * count(%s unless %s)) / count(%s unless %s)' % [
        seen(pod, 'drained'), up,
        seen(pod, 'lame_duck|draining|drained'), up,
        seen(pod, 'lame_duck|draining|drained'), up,
      ], 'missed'
    )],
  ) + lib.unit('percentunit', 0) + lib.severity([[0.1, lib.warning]]) + lib.none('no drain')
  + lib.link('Runbook', lib.runbook('LastScrapeMissed')) + lib.at(18, 4, 6, 4),
  {
    type: 'text',
    title: 'What can this board not know?',
    description: 'Where the numbers of servers end, and what goes on from there.',
    links: [{ title: 'How to read this', url: lib.docs + lib.section, targetBlank: true }],
    options: {
      mode: 'markdown',
      content: '**Lost requests**: one that was refused, or that a crash cut off, is in no count of a server, so a 0 above is no proof that nobody lost any. Only clients see it: `websample attack` during a rollout, `websample rollout` before one. **Anything after a last scrape**, and whatever of a pod was never scraped.',
    },
  } + lib.at(0, 8, 24, 3),
];

local gone(by) = '(%s unless %s)' % [seen(by, 'lame_duck|draining|drained'), 'max by (%s) (up{%s}) == 1' % [by, pods]];
local rollouts = [
  lib.table(
    'What did the last rollouts cost?',
    'The pods that left in this range, by their version. Late: requests that they still got on their way out. Beyond 80 % of a budget the next longer request, or slower proxy, may cost some.',
    [
      lib.column('count by (%s) (%s)' % [left, gone(identity)]),
      lib.column('count by (%s) (%s)' % [left, unseen(identity)]),
      lib.column('sum by (%s) (max_over_time(websample_http_requests_cut_off_total{%s}[$__range]))' % [left, pods]),
      lib.column('sum by (%s) (max_over_time(websample_http_requests_total{%s,phase!="serving"}[$__range]))' % [left, pods]),
      lib.column('max by (%s) (%s)' % [left, lib.drain(identity, pods, '$__range')]),
      lib.column('max by (%s) (%s / %s)' % [left, lib.drain(identity, pods, '$__range'), ofBudget(identity, 'deadline')]),
      lib.column('max by (%s) (%s / %s)' % [left, lastArrival(identity), ofBudget(identity, 'delay_min')]),
    ],
    names={
      'Value #A': 'drained',
      'Value #B': 'ended unseen',
      'Value #C': 'cut off',
      'Value #D': 'late',
      'Value #E': 'slowest drain',
      'Value #F': 'of deadline',
      'Value #G': 'of delay.min',
    },
    order=['mode', 'version', 'Value #A', 'Value #B', 'Value #C', 'Value #D', 'Value #E', 'Value #F', 'Value #G'],
  ) + lib.sorted('version', desc=true) + lib.none('-')
  + lib.cells('slowest drain', [{ id: 'unit', value: 's' }, { id: 'decimals', value: 1 }])
  + lib.cells('of deadline', [{ id: 'unit', value: 'percentunit' }, { id: 'decimals', value: 0 }])
  + lib.cells('of delay.min', [{ id: 'unit', value: 'percentunit' }, { id: 'decimals', value: 0 }])
  + lib.at(0, 0, 24, 5),
  lib.timeline(
    'Which phase was each pod in?',
    'A row a pod. What leaves goes from lilac to dark; a row that ends while it is grey was a pod that ended without draining.',
    [lib.range(lib.phaseNumber(pod + ', version', pods), '{{version}} {{mode}} {{pod}}')],
  ) + { options+: { perPage: 16 } } + lib.at(0, 5, 24, 10),
  lib.lines(
    'How long do drains take, of their budget?',
    'The slowest drain of each version, when it ended. The dashed lines are the budgets: at the deadline what still runs is cut off, at the end of the grace period the pod is killed.',
    [
      lib.range('max by (version) (%s)' % lib.drain(identity, pods, '$__rate_interval'), '{{version}}'),
      lib.range('max(%s)' % budget('deadline'), 'deadline'),
      lib.range('max(%s)' % budget('grace_period'), 'grace period'),
    ],
  ) + lib.unit('s') + lib.overrides([lib.dashed('/^(deadline|grace period)$/')])
  + lib.cells('deadline', [lib.fixed(lib.warning)]) + lib.cells('grace period', [lib.fixed(lib.bad)])
  + lib.at(0, 15, 12, 8),
  lib.lines(
    'How late do requests come, of the delay?',
    'The latest new request of each version after the start of its end. The dashed lines are the delay that is always waited, and the longest.',
    [
      lib.range('max by (version) (websample_drain_last_arrival_seconds{%s} > 0)' % pods, '{{version}}'),
      lib.range('max(%s)' % budget('delay_min'), 'delay.min'),
      lib.range('max(%s)' % budget('delay_max'), 'delay.max'),
    ],
  ) + lib.unit('s') + lib.overrides([lib.dashed('/^delay/')])
  + lib.cells('delay.min', [lib.fixed(lib.warning)]) + lib.cells('delay.max', [lib.fixed(lib.bad)])
  + lib.at(12, 15, 12, 8),
];

local share = lib.unit('percentunit') + lib.max(1) + lib.custom({ axisSoftMin: 0, axisSoftMax: 0.01 });
local requests = [
  lib.lines(
    'How many requests are answered?',
    'Answers a second, by the class of their status. 4xx are the clients\' faults, 5xx the service\'s.',
    [lib.range(
      'sum by (class) (label_replace(%s, "class", "$1", "code", "(.).*"))' % rate('code', 'websample_http_requests_total'),
      '{{class}}xx',
    )],
  ) + lib.unit('reqps') + lib.cells('1xx', [lib.fixed(lib.phases.starting)]) + lib.cells('2xx', [lib.fixed(lib.modes.drain)])
  + lib.cells('3xx', [lib.fixed(lib.modes.graceful)]) + lib.cells('4xx', [lib.fixed(lib.warning)])
  + lib.cells('5xx', [lib.fixed(lib.bad)]) + lib.at(0, 0, 8, 8),
  lib.lines(
    'What share of requests fails?',
    'Answers with a 5xx status, of all. Requests that no server got are not in it.',
    [lib.range('(%s or 0 * %s) / %s' % [
      all('websample_http_requests_total', ',code=~"5.."'),
      all('websample_http_requests_total'),
      all('websample_http_requests_total'),
    ], 'failed')],
  ) + share + lib.cells('failed', [lib.fixed(lib.bad)]) + lib.at(8, 0, 8, 8),
  lib.lines(
    'How long do requests take?',
    'From the head of a request to the end of its answer\'s body, as the server saw it.',
    [
      lib.range('histogram_quantile(%s, %s)' % [q[0], rate('le', 'websample_http_request_duration_seconds_bucket')], q[1])
      for q in [['0.99', 'p99'], ['0.5', 'p50']]
    ],
  ) + lib.unit('s') + lib.cells('p99', [lib.fixed(lib.modes.drain)]) + lib.cells('p50', [lib.fixed(lib.modes.graceful)])
  + lib.at(16, 0, 8, 8),
];

// Of many pods, the one that matters and what is usual: a line a pod could not be told apart.
local busiest(title, description, expr) = lib.lines(title, description, [
  lib.range('max(%s)' % expr, 'the highest pod'),
  lib.range('avg(%s)' % expr, 'on average'),
]) + lib.cells('the highest pod', [lib.fixed(lib.modes.drain)]) + lib.cells('on average', [lib.fixed(lib.modes.graceful)]);

local detail = [
  lib.table(
    'Which routes are asked for?',
    'Answers in this range, by the pattern that matched.',
    [lib.column('sum by (route) (increase(websample_http_requests_total{%s}[$__range])) > 0' % pods)],
    names={ Value: 'answers' },
  ) + lib.sorted('answers', desc=true) + lib.cells('answers', [{ id: 'decimals', value: 0 }]) + lib.at(0, 0, 12, 8),
  lib.table(
    'With which codes are they answered?',
    'Answers in this range, by status and by the phase in which the request came.',
    [lib.column('sum by (code, phase) (increase(websample_http_requests_total{%s}[$__range])) > 0' % pods)],
    names={ Value: 'answers' },
  ) + lib.sorted('code') + lib.cells('answers', [{ id: 'decimals', value: 0 }]) + lib.at(12, 0, 12, 8),
  busiest(
    'How much is in flight in a pod?', 'Being served, to the last byte of the answer.',
    'websample_http_requests_in_flight{%s}' % pods,
  ) + lib.at(0, 8, 8, 8),
  busiest(
    'How many connections does a pod hold?', 'Open connections on its traffic listeners.',
    'websample_connections_open{%s}' % pods,
  ) + lib.at(8, 8, 8, 8),
  lib.lines(
    'How many pods are in each phase?',
    'Pods that answer scrapes. In a rollout serving may dip by what may be unavailable, and no further.',
    [lib.range('sum by (phase) (websample_lifecycle_phase{%s})' % pods, '{{phase}}')],
  ) + lib.named('phase') + lib.overrides([
    lib.override('byName', phase, [lib.fixed(lib.phases[phase])])
    for phase in lib.order
  ]) + lib.unit('none', 0) + lib.custom({ lineInterpolation: 'stepAfter', showPoints: 'never' }) + lib.at(16, 8, 8, 8),
];

local scrapes = [
  lib.lines(
    'How many targets answer?',
    'Targets that were up, of all. A gap between the lines is pods that cannot be reached.',
    [lib.range('sum(up{%s})' % pods, 'up'), lib.range('count(up{%s})' % pods, 'all')],
  ) + lib.unit('none', 0) + lib.cells('up', [lib.fixed(lib.modes.drain)]) + lib.cells('all', [lib.fixed(lib.phases.serving)]) + lib.at(0, 0, 8, 8),
  lib.lines(
    'In which phases do scrapes land?',
    'Answered scrapes a second, by the phase that they found. Some in drained are the last scrapes.',
    [lib.range(rate('phase', 'websample_scrapes_total'), '{{phase}}')],
  ) + lib.named('phase') + lib.unit('ops') + lib.overrides([
    lib.override('byName', phase, [lib.fixed(lib.phases[phase])])
    for phase in lib.order
  ]) + lib.at(8, 0, 8, 8),
  busiest(
    'How long do scrapes take?', 'Beyond half the scrape interval, samples go missing.',
    'scrape_duration_seconds{%s}' % pods,
  ) + lib.unit('s') + lib.at(16, 0, 8, 8),
];

local process = [
  busiest(
    'How much processor time does a pod use?', 'Processors that its threads kept busy; 1 is one whole processor.',
    'rate(process_cpu_seconds_total{%s}[$__rate_interval])' % pods,
  ) + lib.at(0, 0, 8, 8),
  busiest(
    'How much memory does a pod use?', 'Resident memory. What grows from day to day is a leak.',
    'process_resident_memory_bytes{%s}' % pods,
  ) + lib.unit('bytes') + lib.at(8, 0, 8, 8),
  busiest(
    'How near is a pod to its limit of files?', 'Open files, connections among them, of the limit. At 100 % connections are refused.',
    'process_open_fds{%s} / process_max_fds{%s}' % [pods, pods],
  ) + share + lib.at(16, 0, 8, 8),
  busiest(
    'How many threads does a pod have?', 'They follow the workers; a number that grows is a leak.',
    'process_threads{%s}' % pods,
  ) + lib.unit('none', 0) + lib.at(0, 8, 8, 8),
  lib.table(
    'Which builds ran, since when, told what?',
    'By the pod\'s own word: its version and revision, its start, and the termination signals that it got.',
    [
      lib.column('max by (mode, pod, version, revision) (max_over_time(websample_build_info{%s}[$__range]))' % pods),
      lib.column('max by (mode, pod, version) (max_over_time(process_start_time_seconds{%s}[$__range])) * 1000' % pods),
      lib.column('sum by (mode, pod, version) (max_over_time(websample_termination_signals_total{%s}[$__range]))' % pods),
    ],
    hidden=['Value #A'],
    names={ 'Value #B': 'started', 'Value #C': 'signals' },
    order=['version', 'mode', 'pod', 'revision', 'Value #B', 'Value #C'],
  ) + lib.sorted('started', desc=true) + lib.cells('started', [{ id: 'unit', value: 'dateTimeAsIso' }, { id: 'custom.width', value: 170 }])
  + lib.cells('version', [{ id: 'custom.width', value: 80 }]) + lib.cells('mode', [{ id: 'custom.width', value: 90 }])
  + lib.cells('revision', [{ id: 'custom.width', value: 90 }]) + lib.cells('signals', [{ id: 'custom.width', value: 80 }])
  + lib.at(8, 8, 16, 8),
];

local began = '1000 * (max by (job, mode, version, pod) (max_over_time(websample_lifecycle_phase_entered_timestamp_seconds{%s,phase="%s"}[1m])) > 0)';

lib.board(
  'websample-service',
  'websample / A service in production',
  'Whether a service can be deployed safely, what its last rollouts cost, and how near its drains come to their budgets, as far as its servers can know. Use it with any service that adopted the framework.',
  ['service'],
  [
    lib.row('Now', now),
    lib.row('Last rollouts', rollouts),
    lib.row('Requests', requests),
    lib.row('Requests in detail', detail, folded=true),
    lib.row('Scrapes', scrapes, folded=true),
    lib.row('Process', process, folded=true),
  ],
  [
    lib.variable('job', 'Job', 'The service.', 'label_values(websample_lifecycle_phase, job)'),
    lib.variable(
      'instance', 'Instance', 'A single pod, by its address.',
      'label_values(websample_lifecycle_phase{job=~"$job"}, instance)',
    ) + lib.several('.+'),
    lib.variable(
      'mode', 'Mode', 'What the pods do on SIGTERM, where the target says it.',
      'label_values(websample_lifecycle_phase{job=~"$job",instance=~"$instance"}, mode)',
    ) + lib.several('.*'),
    lib.variable(
      'version', 'Version', 'The version of the pods, where the target says it.',
      'label_values(websample_lifecycle_phase{job=~"$job",instance=~"$instance",mode=~"$mode"}, version)',
    ) + lib.several('.*'),
  ],
  [
    lib.annotation('A drain began', lib.phases.lame_duck, began % [pods, 'lame_duck'], 'a drain began', '{{mode}} {{pod}} ({{version}})', [16, 17, 18]) + { enable: false, tagKeys: 'mode,version' },
  ],
  '30s',
  'now-1h',
)
