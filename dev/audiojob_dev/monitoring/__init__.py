"""Recording rules, alerts and dashboards: described here, generated into the chart, shown by `make monitoring`."""
