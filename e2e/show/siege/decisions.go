package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// decisionsMetric is the replicas' histogram of how long they took to decide about a queue.
const decisionsMetric = "pac_lease_queue_decision_duration_seconds"

// scrapeTimeout bounds the reading of a replica's metrics.
const scrapeTimeout = 5 * time.Second

// decided is how many decisions a replica has made, and how long they took.
type decided struct {
	number uint64
	took   time.Duration
}

// decisions begins to measure. What it returns tells how many decisions a second the busiest
// replica has made since, and how many cores decisions have occupied. A replica that was restarted
// meanwhile does not count: a restart breaks the siege anyway.
func (c *containers) decisions(ctx context.Context) func() (perSecond, cores float64) {
	began, before := time.Now(), c.decided(ctx)
	return func() (perSecond, cores float64) {
		seconds := time.Since(began).Seconds()
		for name, after := range c.decided(ctx) {
			if was, ok := before[name]; ok && was.number <= after.number {
				perSecond = max(perSecond, float64(after.number-was.number)/seconds)
				cores = max(cores, (after.took-was.took).Seconds()/seconds)
			}
		}
		return perSecond, cores
	}
}

// decided returns the decisions so far of the replicas that answer, by name.
func (c *containers) decided(ctx context.Context) map[string]decided {
	all := map[string]decided{}
	for _, r := range c.addon.Replicas() {
		if d, err := scrapeDecided(ctx, r.MetricsURL); err != nil {
			c.say("the metrics of %s cannot be read: %v", r.Name(), err)
		} else {
			all[r.Name()] = d
		}
	}
	return all
}

func scrapeDecided(ctx context.Context, url string) (d decided, err error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return d, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return d, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return d, fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	return readDecided(answer.Body)
}

// readDecided reads metrics in Prometheus' text format. A replica that has decided nothing yet may
// lack the histogram.
func readDecided(text io.Reader) (d decided, err error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return d, err
	}
	for _, m := range families[decisionsMetric].GetMetric() {
		d.number += m.GetHistogram().GetSampleCount()
		d.took += time.Duration(m.GetHistogram().GetSampleSum() * float64(time.Second))
	}
	return d, nil
}
