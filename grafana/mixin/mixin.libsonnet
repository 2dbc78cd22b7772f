// The boards in the layout of a monitoring mixin (https://monitoring.mixins.dev), for those who build
// their monitoring with jsonnet. Alerts and rules are in deploy/prometheus/rules, as YAML.
{
  grafanaDashboards+:: {
    'comparison.json': import 'comparison.libsonnet',
    'service.json': import 'service.libsonnet',
  },
}
