package metrics

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instruments makes those of the table, and collects what goes wrong.
type instruments struct {
	meter metric.Meter
	wrong []error
}

func (i *instruments) counter(m Metric) metric.Int64Counter {
	made, err := i.meter.Int64Counter(m.Name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit))
	i.wrong = append(i.wrong, err)
	return made
}

func (i *instruments) gauge(m Metric) metric.Float64ObservableGauge {
	made, err := i.meter.Float64ObservableGauge(m.Name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit))
	i.wrong = append(i.wrong, err)
	return made
}

func (i *instruments) histogram(m Metric) metric.Float64Histogram {
	made, err := i.meter.Float64Histogram(
		m.Name,
		metric.WithDescription(m.Help),
		metric.WithUnit(m.Unit),
		metric.WithExplicitBucketBoundaries(m.Buckets...),
	)
	i.wrong = append(i.wrong, err)
	return made
}

func (i *instruments) callback(f metric.Callback, of ...metric.Observable) {
	_, err := i.meter.RegisterCallback(f, of...)
	i.wrong = append(i.wrong, err)
}

func count(c metric.Int64Counter, n int64, labels ...attribute.KeyValue) {
	c.Add(context.Background(), n, metric.WithAttributes(labels...))
}
