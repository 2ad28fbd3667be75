// Reads Grafana dashboards by Grafana's schema; apart from the Kubernetes programs: its dependencies must not change theirs.
module audiojobs.dev/dev/go/dashboards

go 1.24.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
