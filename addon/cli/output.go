package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
)

// Formats besides templates.
const (
	asJSON, asYAML = "json", "yaml"
	asName         = "name"
	asWide         = "wide"
	asColumns      = "custom-columns"
)

// anyDocument are the formats of commands that print documents with names.
var anyDocument = []string{
	asJSON, asYAML, asName, asColumns + "=…", "jsonpath=…", "go-template=…", "jsonpath-file=…", "go-template-file=…",
}

// outputFlag lets users choose one of the formats. Those that end in an ellipsis are cli-runtime's
// templates.
func (p *plugin) outputFlag(c *cobra.Command, formats ...string) {
	c.Flags().StringVarP(&p.output, "output", "o", "", "output format: "+strings.Join(formats, ", "))
	completions := make([]string, len(formats))
	templates := sets.New[string]()
	for i, format := range formats {
		name, isTemplate := strings.CutSuffix(format, "=…")
		completions[i] = strings.TrimSuffix(format, "…")
		if isTemplate {
			templates.Insert(name)
		}
	}
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(completions,
		cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)) // fails for unknown flags only
	c.PreRunE = func(*cobra.Command, []string) error {
		name, _, _ := strings.Cut(p.output, "=")
		switch {
		case p.output == "", slices.Contains(formats, p.output):
			return nil
		case name == asColumns && templates.Has(name):
			if _, err := readColumns(p.output); err != nil {
				return fmt.Errorf("--output is %q: %w", p.output, err)
			}
			return nil
		case templates.Has(name):
			if _, err := genericclioptions.NewKubeTemplatePrintFlags().ToPrinter(p.output); err != nil {
				return fmt.Errorf("--output is %q: %w", p.output, err)
			}
			return nil
		}
		return fmt.Errorf("--output is %q; it must be one of %s", p.output, strings.Join(formats, ", "))
	}
}

// structured says that a format is that of a document, not of a table or a text.
func structured(format string) bool { return format != "" && format != asWide }

// encode prints a document in the chosen format. The names are for -o name.
func (p *plugin) encode(out io.Writer, v any, names ...string) error {
	if p.output == asName {
		for _, name := range names {
			if _, err := fmt.Fprintln(out, name); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	switch p.output {
	case asJSON:
	case asYAML:
		if text, err = yaml.JSONToYAML(text); err != nil {
			return err
		}
	default:
		if strings.HasPrefix(p.output, asColumns+"=") {
			return printColumns(out, p.output, text)
		}
		return template(out, p.output, text)
	}
	_, err = out.Write(text)
	return err
}

// template prints what a template makes of a document, as kubectl does.
func template(out io.Writer, format string, document []byte) error {
	printer, err := genericclioptions.NewKubeTemplatePrintFlags().ToPrinter(format)
	if err != nil {
		return err
	}
	var object unstructured.Unstructured
	if err := json.Unmarshal(document, &object.Object); err != nil {
		return err
	}
	return printer.PrintObj(&object, out)
}

// queueNames are the RunQueues of queues, as kubectl takes them.
func queueNames(queues []inspect.Queue) []string {
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = "runqueue.pac-lease-queue.dev/" + q.Key().Repository
	}
	return names
}

// runName is a run, as kubectl takes it.
func runName(name string) string { return "pipelinerun.tekton.dev/" + name }
