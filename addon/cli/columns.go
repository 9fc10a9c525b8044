package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"
)

// column is one of a table that the user has put together, as kubectl has them: HEADER:.json.path.
type column struct {
	header string
	path   *jsonpath.JSONPath
}

// readColumns reads -o custom-columns=HEADER:.path,… for one object, or for each of a list.
func readColumns(format string) ([]column, error) {
	_, spec, _ := strings.Cut(format, "=")
	var columns []column
	for one := range strings.SplitSeq(spec, ",") {
		header, path, ok := strings.Cut(one, ":")
		if !ok || header == "" || path == "" {
			return nil, fmt.Errorf("%q is not HEADER:.path, e.g. QUEUE:.repository,WAITING:.queued", one)
		}
		c := column{header, jsonpath.New(header).AllowMissingKeys(true)}
		if err := c.path.Parse("{" + strings.TrimSuffix(strings.TrimPrefix(path, "{"), "}") + "}"); err != nil {
			return nil, fmt.Errorf("column %s: %w", header, err)
		}
		columns = append(columns, c)
	}
	return columns, nil
}

// printColumns prints a line for each item of a list, or for the object that is none.
func printColumns(out io.Writer, format string, document []byte) error {
	columns, err := readColumns(format)
	if err != nil {
		return err
	}
	var object map[string]any
	if err := utiljson.Unmarshal(document, &object); err != nil { // whole numbers stay whole
		return err
	}
	items, isList := object["items"].([]any)
	if !isList {
		items = []any{object}
	}
	table := printers.GetNewTabWriter(out)
	var headers []string
	for _, c := range columns {
		headers = append(headers, c.header)
	}
	_, err = fmt.Fprintln(table, strings.Join(headers, "\t"))
	for _, item := range items {
		var cells []string
		for _, c := range columns {
			cell, wrong := c.of(item)
			cells, err = append(cells, cell), errors.Join(err, wrong)
		}
		_, failed := fmt.Fprintln(table, strings.Join(cells, "\t"))
		err = errors.Join(err, failed)
	}
	return errors.Join(err, table.Flush())
}

// of is what the column has of an item.
func (c column) of(item any) (string, error) {
	results, err := c.path.FindResults(item)
	if err != nil {
		return "", fmt.Errorf("column %s: %w", c.header, err)
	}
	var found []string
	for _, values := range results {
		for _, value := range values {
			found = append(found, fmt.Sprint(value.Interface()))
		}
	}
	if len(found) == 0 {
		return "<none>", nil
	}
	return strings.Join(found, ","), nil
}
