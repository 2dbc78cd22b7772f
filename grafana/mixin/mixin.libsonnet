// The boards, alerts and rules in the layout of a monitoring mixin (https://monitoring.mixins.dev), for
// those who build their monitoring with jsonnet. Alerts and rules are those of deploy/prometheus/rules,
// as JSON: not every jsonnet reads that YAML.
{
  grafanaDashboards+:: {
    'comparison.json': import 'comparison.libsonnet',
    'service.json': import 'service.libsonnet',
  },
  prometheusAlerts+:: { groups+: (import 'alerts.json').groups },
  prometheusRules+:: { groups+: (import 'recording.json').groups },
}
