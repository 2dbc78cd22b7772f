// What both boards are made of: panels, queries, overrides, variables, the grid.
//
// The schema is the classic one of Grafana 10.0 (38), which 10 to 13 read.
local site = 'https://github.com/websample/websample/blob/main/docs/';

{
  local lib = self,

  docs:: site + 'observability.md',
  // Where the documentation of the board begins; each board says its own.
  section:: '',
  runbook(alert):: site + 'runbook.md#' + std.asciiLower(alert),

  source: { type: 'prometheus', uid: '${datasource}' },

  // Colour tells identity (modes, phases, versions) or severity, and the two have none in common.
  // Modes: two hues that no kind of colour blindness takes for each other, and two lightnesses.
  modes:: { drain: '#2A7AB9', graceful: '#8CCBF5', ignore: '#A0712B', immediate: '#FFB83D' },
  // Phases: serving is quiet, and what is on its way out goes from light to dark.
  phases:: {
    starting: '#C4C9CE',
    serving: '#83909C',
    lame_duck: '#D3AEF5',
    draining: '#7A3DC0',
    drained: '#4A5058',
  },
  // Severity: what is good has no colour. A lost request is the worst there is.
  good:: 'text',
  warning:: 'orange',
  bad:: 'red',

  // A query. Tables take all their columns from one instant.
  range(expr, legend):: { expr: expr, legendFormat: legend, format: 'time_series', instant: false },
  instant(expr, legend):: self.range(expr, legend) { instant: true },
  column(expr):: { expr: expr, format: 'table', instant: true },

  local target(index, query) = query {
    datasource: lib.source,
    editorMode: 'code',
    range: !query.instant,
    refId: std.char(65 + index),
  },

  panel(type, title, description, queries):: {
    type: type,
    title: title,
    description: description,
    datasource: lib.source,
    links: [{ title: 'How to read this', url: lib.docs + lib.section, targetBlank: true }],
    fieldConfig: { defaults: { unit: 'none', noValue: 'nothing in this range' }, overrides: [] },
    options: {},
    targets: std.mapWithIndex(target, queries),
  },

  unit(unit, decimals=null):: {
    fieldConfig+: {
      defaults+: { unit: unit } + (if decimals == null then {} else { decimals: decimals }),
    },
  },
  none(text):: { fieldConfig+: { defaults+: { noValue: text } } },
  // The name of a series is this label: Grafana drops the legend of a single one.
  named(label):: { fieldConfig+: { defaults+: { displayName: '${__field.labels.%s}' % label } } },
  link(title, url):: { links: [{ title: title, url: url, targetBlank: true }] },
  overrides(list):: { fieldConfig+: { overrides+: list } },

  fixed(color):: { id: 'color', value: { mode: 'fixed', fixedColor: color } },
  override(id, options, properties):: {
    matcher: { id: id, options: options },
    properties: properties,
  },
  // Each mode in its colour, with any hook: graceful+sleep:5s is graceful.
  byMode:: self.overrides([
    self.override('byRegexp', '/^%s\\b/' % mode, [self.fixed(self.modes[mode])])
    for mode in std.objectFields(self.modes)
  ]),

  stat(title, description, queries):: self.panel('stat', title, description, queries) {
    options: {
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'center',
      orientation: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      textMode: 'value',
    },
  },
  // Severity by thresholds: [[from, color], ...]; below the first it is good.
  severity(steps):: {
    fieldConfig+: {
      defaults+: {
        color: { mode: 'thresholds' },
        thresholds: {
          mode: 'absolute',
          steps: [{ color: lib.good, value: null }] +
                 [{ value: step[0], color: step[1] } for step in steps],
        },
      },
    },
  },

  lines(title, description, queries):: self.panel('timeseries', title, description, queries) {
    fieldConfig+: {
      defaults+: {
        // The classic palette has the colours that judge.
        color: { mode: 'shades', fixedColor: lib.modes.drain },
        min: 0,
        custom: {
          drawStyle: 'line',
          lineInterpolation: 'linear',
          lineWidth: 2,
          fillOpacity: 0,
          pointSize: 4,
          showPoints: 'auto',
          spanNulls: false,
        },
      },
    },
    options: {
      legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },
  custom(custom):: { fieldConfig+: { defaults+: { custom+: custom } } },
  max(max):: { fieldConfig+: { defaults+: { max: max } } },
  dashed(name):: self.override('byRegexp', name, [
    { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 6] } },
  ]),

  table(title, description, queries, hidden=[], names={}, order=[]):: self.panel(
    'table', title, description, queries
  ) {
    fieldConfig+: { defaults+: { custom: { align: 'auto', cellOptions: { type: 'auto' }, minWidth: 70 } } },
    options: { cellHeight: 'sm', showHeader: true },
    transformations: (if std.length(queries) > 1 then [{ id: 'merge', options: {} }] else []) + [
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true } + { [name]: true for name in hidden },
          indexByName: { [order[at]]: at for at in std.range(0, std.length(order) - 1) },
          renameByName: names,
        },
      },
    ],
  },
  sorted(field, desc=false):: {
    options+: { sortBy: [{ displayName: field, desc: desc }] },
  },
  // A table of what one query counts: a row for each value of the one label, a column for each of
  // the other.
  matrix(title, description, query, row, column):: self.panel(
    'table', title, description, [self.column(query)]
  ) {
    fieldConfig+: { defaults+: { custom: { align: 'auto', cellOptions: { type: 'auto' }, minWidth: 70 } } },
    options: { cellHeight: 'sm', showHeader: true },
    transformations: [
      {
        id: 'groupingToMatrix',
        options: { columnField: column, emptyValue: 'zero', rowField: row, valueField: 'Value' },
      },
      {
        id: 'organize',
        options: { excludeByName: {}, indexByName: {}, renameByName: { ['%s\\%s' % [row, column]]: row } },
      },
    ],
  } + self.sorted(row),
  cells(name, properties):: self.overrides([self.override('byName', name, properties)]),
  // The column of modes: a patch of the mode's colour behind its name.
  modeColumn:: self.cells('mode', [
    { id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } },
    { id: 'custom.width', value: 150 },
    {
      id: 'mappings',
      value: [
        {
          type: 'regex',
          options: {
            pattern: '/^(%s\\b.*)$/' % mode,
            result: { text: '$1', color: lib.modes[mode], index: 0 },
          },
        }
        for mode in std.objectFields(lib.modes)
      ],
    },
  ]),

  // Phases as numbers, and the numbers' names and colours. No thresholds: with merged values,
  // Grafana would show those and not the names.
  order:: ['starting', 'serving', 'lame_duck', 'draining', 'drained'],
  phaseNumber(by, selector):: 'max by (%s) (%s)' % [
    by,
    std.join(' or ', [
      '%d * (websample_lifecycle_phase{%s,phase="%s"} == 1)' % [at + 1, selector, lib.order[at]]
      for at in std.range(0, std.length(lib.order) - 1)
    ]),
  ],
  timeline(title, description, queries, more={}):: self.panel(
    'state-timeline', title, description, queries
  ) {
    // Of a lab's few minutes every second; of an hour no more than can be told apart. A query of all
    // pods in all phases for each pixel would be the slowest of the board.
    maxDataPoints: 600,
    fieldConfig+: {
      defaults+: {
        color: { mode: 'fixed', fixedColor: 'text' },
        noValue:: null,
        custom: { fillOpacity: 90, lineWidth: 0, spanNulls: false },
        mappings: [
          {
            type: 'value',
            options: {
              [std.toString(at + 1)]: {
                text: lib.order[at],
                color: lib.phases[lib.order[at]],
                index: at,
              }
              for at in std.range(0, std.length(lib.order) - 1)
            } + more,
          },
        ],
      },
    },
    // The name of the Deployment is the same in every row, and takes a third of it.
    transformations: [
      { id: 'renameByRegex', options: { regex: '^(.*) ?websample-(.*)$', renamePattern: '$1$2' } },
    ],
    options: {
      alignValue: 'left',
      legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true },
      mergeValues: true,
      perPage: 40,
      rowHeight: 0.85,
      showValue: 'never',
      tooltip: { mode: 'single', sort: 'none' },
    },
  },

  // The time to drain, by these labels: from the first phase of the end to the last.
  drain(by, selector, window):: (
    local entered(phase) = 'max by (%s) (max_over_time(websample_lifecycle_phase_entered_timestamp_seconds{%s,phase="%s"}[%s]) > 0)' % [by, selector, phase, window];
    '(%s - (%s or %s) > 0)' % [entered('drained'), entered('lame_duck'), entered('draining')]
  ),

  annotation(name, color, expr, title, text, ids=null):: {
    name: name,
    datasource: lib.source,
    enable: true,
    hide: true,
    iconColor: color,
    expr: expr,
    step: '10s',
    tagKeys: '',
    titleFormat: title,
    textFormat: text,
    useValueForTime: true,
    target: {
      editorMode: 'code',
      expr: expr,
      instant: false,
      interval: '10s',
      legendFormat: '',
      range: true,
      refId: 'Anno',
    },
  } + (if ids == null then {} else { filter: { exclude: false, ids: ids } }),

  variable(name, label, description, query):: {
    name: name,
    label: label,
    description: description,
    type: 'query',
    datasource: lib.source,
    definition: query,
    query: { query: query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
    refresh: 2,
    sort: 1,
    regex: '',
    hide: 0,
    skipUrlSync: false,
    options: [],
    multi: false,
    includeAll: false,
    current: {},
  },
  // Several values; all of them is this pattern.
  several(all):: {
    multi: true,
    includeAll: true,
    allValue: all,
    current: { selected: true, text: ['All'], value: ['$__all'] },
  },

  row(title, panels, folded=false):: { title: title, folded: folded, panels: panels },
  // A panel's place in its row: column, line, width, height.
  at(x, y, w, h):: { gridPos: { x: x, y: y, w: w, h: h } },

  // The panels of the rows, one below the other; ids count up from 1.
  local place(rows, top=0, id=1) =
    if rows == [] then [] else
      local row = rows[0];
      local head = {
        type: 'row',
        title: row.title,
        id: id,
        collapsed: row.folded,
        gridPos: { x: 0, y: top, w: 24, h: 1 },
      };
      local inside = std.mapWithIndex(
        function(at, panel) panel {
          id: id + 1 + at,
          gridPos: panel.gridPos { y: panel.gridPos.y + top + 1 },
        },
        row.panels
      );
      local height = std.foldl(std.max, [p.gridPos.y + p.gridPos.h for p in row.panels], 0);
      local below = top + 1 + (if row.folded then 0 else height);
      (if row.folded then [head { panels: inside }] else [head { panels: [] }] + inside)
      + place(rows[1:], below, id + 1 + std.length(inside)),

  board(uid, title, description, tags, rows, variables, annotations, refresh, from):: {
    uid: uid,
    title: title,
    description: description,
    tags: ['websample'] + tags,
    id: null,
    version: 1,
    schemaVersion: 38,
    editable: false,
    fiscalYearStartMonth: 0,
    graphTooltip: 1,
    liveNow: false,
    timezone: 'utc',
    weekStart: '',
    refresh: refresh,
    time: { from: from, to: 'now' },
    timepicker: { refresh_intervals: ['1s', '5s', '10s', '30s', '1m', '5m'] },
    links: [
      {
        type: 'dashboards',
        title: 'Dashboards of websample',
        asDropdown: true,
        icon: 'external link',
        includeVars: false,
        keepTime: true,
        tags: ['websample'],
        targetBlank: false,
        tooltip: '',
        url: '',
      },
      {
        type: 'link',
        title: 'How to read this',
        asDropdown: false,
        icon: 'doc',
        includeVars: false,
        keepTime: false,
        tags: [],
        targetBlank: true,
        tooltip: 'What each row answers',
        url: lib.docs,
      },
    ],
    annotations: {
      list: [
        {
          builtIn: 1,
          datasource: { type: 'grafana', uid: '-- Grafana --' },
          enable: true,
          hide: true,
          iconColor: 'rgba(0, 211, 255, 1)',
          name: 'Annotations & Alerts',
          type: 'dashboard',
        },
      ] + annotations,
    },
    templating: {
      list: [
        {
          name: 'datasource',
          label: 'Data source',
          description: 'The Prometheus that scrapes the pods.',
          type: 'datasource',
          query: 'prometheus',
          current: {},
          hide: 0,
          includeAll: false,
          multi: false,
          options: [],
          refresh: 1,
          regex: '',
          skipUrlSync: false,
        },
      ] + variables,
    },
    panels: place(rows),
  },
}
