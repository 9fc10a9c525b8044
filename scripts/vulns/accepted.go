package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"sigs.k8s.io/yaml"
)

// acceptance is one entry of accepted.yaml.
type acceptance struct {
	ID       string `json:"id"`
	Accepted string `json:"accepted"` // the day it was decided, as 2026-11-28
	Expires  string `json:"expires"`  // the day from which it fails again
	Reason   string `json:"reason"`

	expires time.Time
}

// parseAccepted reads accepted.yaml, strictly.
func parseAccepted(content []byte) (map[string]acceptance, error) {
	var list []acceptance
	if err := yaml.UnmarshalStrict(content, &list); err != nil {
		return nil, err
	}
	accepted := map[string]acceptance{}
	for _, a := range list {
		decided, err := time.Parse(time.DateOnly, a.Accepted)
		if err != nil {
			return nil, fmt.Errorf("%q: accepted: %w", a.ID, err)
		}
		if a.expires, err = time.Parse(time.DateOnly, a.Expires); err != nil {
			return nil, fmt.Errorf("%q: expires: %w", a.ID, err)
		}
		_, twice := accepted[a.ID]
		switch {
		case a.ID == "":
			return nil, errors.New("an entry has no id")
		case twice:
			return nil, fmt.Errorf("%s is there twice", a.ID)
		case a.Reason == "":
			return nil, fmt.Errorf("%s has no reason", a.ID)
		case !a.expires.After(decided):
			return nil, fmt.Errorf("%s expires before it was accepted", a.ID)
		}
		accepted[a.ID] = a
	}
	return accepted, nil
}

// finding is a vulnerability that the code reaches.
type finding struct {
	summary string
	fixed   string // the version without it, or empty
	where   string // what is vulnerable: module, version and symbol
}

// parseFindings reads the JSON of govulncheck and returns the vulnerabilities whose symbols are
// called, by ID. What is only imported or only required is not reached.
func parseFindings(output []byte) (map[string]finding, error) {
	type frame struct{ Module, Version, Package, Function, Receiver string }
	type message struct {
		Config *struct {
			ScanLevel string `json:"scan_level"`
		}
		OSV     *struct{ ID, Summary, Details string }
		Finding *struct {
			OSV          string
			FixedVersion string `json:"fixed_version"`
			Trace        []frame
		}
	}
	summaries, found := map[string]string{}, map[string]finding{}
	level := ""
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		switch {
		case m.Config != nil:
			level = m.Config.ScanLevel
		case m.OSV != nil:
			summaries[m.OSV.ID] = m.OSV.Summary
			if m.OSV.Summary == "" {
				summaries[m.OSV.ID] = m.OSV.Details
			}
		case m.Finding != nil && len(m.Finding.Trace) > 0 && m.Finding.Trace[0].Function != "":
			at := m.Finding.Trace[0]
			symbol := at.Function
			if at.Receiver != "" {
				symbol = at.Receiver + "." + symbol
			}
			where := fmt.Sprintf("%s@%s (%s of %s)", at.Module, at.Version, symbol, at.Package)
			found[m.Finding.OSV] = finding{fixed: m.Finding.FixedVersion, where: where}
		}
	}
	if level != "symbol" { // else nothing would ever be found
		return nil, fmt.Errorf("the scan looked at %q and not at symbols", level)
	}
	for id, f := range found {
		f.summary = summaries[id]
		found[id] = f
	}
	return found, nil
}

// verdict is what is to be told: failures fail, notes do not.
type verdict struct{ failures, notes []string }

// judge compares what was found with what was accepted.
func judge(found map[string]finding, accepted map[string]acceptance, now time.Time) verdict {
	var v verdict
	for _, id := range slices.Sorted(maps.Keys(found)) {
		f := found[id]
		remedy := "no version fixes it"
		if f.fixed != "" {
			remedy = "fixed in " + f.fixed
		}
		text := fmt.Sprintf("%s in %s, %s: %s (https://pkg.go.dev/vuln/%s)", id, f.where, remedy, f.summary, id)
		switch a, known := accepted[id]; {
		case !known:
			v.failures = append(v.failures, text)
		case !now.Before(a.expires):
			v.failures = append(v.failures, fmt.Sprintf("accepted until %s (%s): %s", a.Expires, a.Reason, text))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(accepted)) {
		if _, still := found[id]; !still {
			v.notes = append(v.notes, id+" is not found any more: remove it from scripts/vulns/accepted.yaml")
		}
	}
	return v
}
