package main

import (
	"fmt"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
)

// verdict is what was seen of an exhibit on one of the queues.
type verdict struct {
	// expected says that it is as declared: a failure, or none.
	expected bool
	says     string
}

func (v verdict) String() string {
	if v.expected {
		return v.says
	}
	return "UNEXPECTED: " + v.says
}

// row is what was seen of an exhibit on both.
type row struct {
	exhibit
	alone, addon verdict
}

// unexpected names the exhibits that are not as declared.
func unexpected(rows []row) []string {
	var names []string
	for _, r := range rows {
		if !r.alone.expected || !r.addon.expected {
			names = append(names, r.name)
		}
	}
	return names
}

// title is what happens, with the issue upstream.
func (e exhibit) title() string {
	if e.issue == "" {
		return e.what
	}
	return fmt.Sprintf("%s (%s)", e.what, e.issue)
}

// columns are the widths of the table's; together they suit most terminals.
var columns = []int{36, 52, 34}

// render makes the table for people.
func render(rows []row) string {
	t := table.New().
		Border(lipgloss.NormalBorder()).BorderRow(true).
		Headers("FAILURE", "PAC ALONE", "WITH PAC-LEASE-QUEUE").
		StyleFunc(func(_, column int) lipgloss.Style { return lipgloss.NewStyle().Padding(0, 1).Width(columns[column]) })
	for _, r := range rows {
		t.Row(r.name+"\n"+r.title(), r.alone.String(), r.addon.String())
	}
	return t.Render()
}
