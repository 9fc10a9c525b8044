package page

import (
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/history"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// The size of a chart, in its own units. The columns stand on the base line.
const (
	chartWidth, chartHeight = 360, 96
	chartTop, chartBase     = 8, 78
)

// chart is a row of columns.
type chart struct {
	ID, Title string
	// Summary is the chart in a sentence, for those who do not see it.
	Summary       string
	Kind          string // of its colour
	Width, Height int
	Base          int
	Columns       []column
	// Most says what a column stands for, and the highest one, and Top is where that ends.
	Most  string
	Top   int
	First string // times, UTC
}

// column is one point of time.
type column struct {
	X, Y, Width, Height float64
	Time, Value         string
}

func chartsOf(points []history.Point) []chart {
	if points == nil {
		return nil
	}
	waits := make([]float64, len(points))
	ends := make([]float64, len(points))
	began, ended, longest := 0, 0, time.Duration(0)
	for i, p := range points {
		waits[i], ends[i] = p.Wait.Seconds(), float64(p.Ended)
		began, ended, longest = began+p.Began, ended+p.Ended, max(longest, p.Wait)
	}
	span := report.Round(history.Points * history.Width)
	minutes := int(history.Width.Minutes())
	return []chart{
		newChart("waits", "Waiting time", "waiting", "the median of each", points, waits,
			fmt.Sprintf("In the last %s, %s began; the longest median of %d minutes is %s.", span, plural(began, "run"), minutes,
				report.Round(longest)),
			func(v float64) string { return report.Round(time.Duration(v * float64(time.Second))) }),
		newChart("ends", "Runs ended", "running", "in each", points, ends,
			fmt.Sprintf("In the last %s, %s ended.", span, plural(ended, "run")),
			func(v float64) string { return fmt.Sprint(int(v)) }),
	}
}

func newChart(
	id, title, kind, of string, points []history.Point, values []float64, summary string, text func(float64) string,
) chart {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	span := report.Round(history.Width)
	c := chart{
		ID: id, Title: title, Summary: summary, Kind: kind, Width: chartWidth, Height: chartHeight, Base: chartBase, Top: chartTop,
		Most: fmt.Sprintf("%s %s, at most %s", of, span, text(most)), First: points[0].Start.Format("15:04 MST"),
	}
	step := float64(chartWidth) / float64(len(points))
	for i, v := range values {
		if v <= 0 {
			continue
		}
		height := max(2, v/most*(chartBase-chartTop))
		c.Columns = append(c.Columns, column{
			X: float64(i)*step + step*0.15, Y: chartBase - height, Width: step * 0.7, Height: height,
			Time: points[i].Start.Format("15:04 MST"), Value: text(v),
		})
	}
	return c
}
