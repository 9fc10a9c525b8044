package main

import (
	"fmt"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
)

// verdict is the outcome of an exhibit on one of the queues.
type verdict struct {
	expected bool // the exhibit declares it
	text     string
}

func (v verdict) String() string {
	if v.expected {
		return v.text
	}
	return "UNEXPECTED: " + v.text
}

// row is the outcome of an exhibit on both queues.
type row struct {
	exhibit
	alone, addon verdict
}

// unexpected names the exhibits with an outcome that they do not declare.
func unexpected(rows []row) []string {
	var names []string
	for _, r := range rows {
		if !r.alone.expected || !r.addon.expected {
			names = append(names, r.name)
		}
	}
	return names
}

// title tells what happens, with the upstream issue.
func (e exhibit) title() string {
	if e.issue == "" {
		return e.what
	}
	return fmt.Sprintf("%s (%s)", e.what, e.issue)
}

// columns are the widths of the columns. The table fits most terminals.
var columns = []int{36, 52, 34}

// render draws the table.
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
