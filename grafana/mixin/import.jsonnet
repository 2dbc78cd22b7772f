// A board as Grafana exports it "for sharing externally": whoever imports it is asked for the data
// source, and told what it needs.
function(board) board {
  __inputs: [{
    name: 'DS_PROMETHEUS',
    label: 'Prometheus',
    description: 'The Prometheus that scrapes the pods.',
    type: 'datasource',
    pluginId: 'prometheus',
    pluginName: 'Prometheus',
  }],
  __elements: {},
  __requires: [
    { type: 'grafana', id: 'grafana', name: 'Grafana', version: '10.0.0' },
    { type: 'datasource', id: 'prometheus', name: 'Prometheus', version: '1.0.0' },
  ],
  templating+: {
    list: [
      variable + (
        if variable.name == 'datasource'
        then { current: { selected: true, text: 'Prometheus', value: '${DS_PROMETHEUS}' } }
        else {}
      )
      for variable in super.list
    ],
  },
}
