package board

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Console makes addresses of runs of a template, which is written as that of Pipelines-as-Code's
// setting custom-console-url-pr-details (pkg/consoleui/custom.go).
type Console struct{ template string }

var variable = regexp.MustCompile(`{{\s*([^{}]*?)\s*}}`)

// ParseConsole reads a template; nil for an empty one.
func ParseConsole(template string) (*Console, error) {
	if template == "" {
		return nil, nil
	}
	for _, of := range variable.FindAllStringSubmatch(template, -1) {
		if of[1] != "namespace" && of[1] != "pr" {
			return nil, fmt.Errorf("the console's address has the variable %q; there are {{ namespace }} and {{ pr }}", of[0])
		}
	}
	c := &Console{template}
	to, err := url.Parse(c.Of("namespace", "run"))
	if err != nil {
		return nil, fmt.Errorf("the console's address %q: %w", template, err)
	}
	if to.Scheme != "https" && to.Scheme != "http" || to.Host == "" {
		return nil, fmt.Errorf("the console's address %q must begin with https:// or http:// and a host", template)
	}
	if other, err := url.Parse(c.Of("other", "other")); err != nil || other.Host != to.Host {
		return nil, fmt.Errorf("the console's address %q has a variable in its host", template)
	}
	return c, nil
}

// Of is the address of a run; empty without a console, and for what no run can be called.
func (c *Console) Of(namespace, run string) string {
	if c == nil || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(run)) > 0 {
		return ""
	}
	return variable.ReplaceAllStringFunc(c.template, func(of string) string {
		if strings.Contains(of, "namespace") {
			return namespace
		}
		return run
	})
}
