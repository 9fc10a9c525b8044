package pac_test

import (
	"encoding/json"
	"testing"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

func TestHold(t *testing.T) {
	moved := func(order string) string {
		return `[{"op":"add","path":"/metadata/annotations/pac-lease-queue.dev~1execution-order","value":"` + order + `"},` +
			`{"op":"remove","path":"/metadata/annotations/pipelinesascode.tekton.dev~1execution-order"}]`
	}
	for name, c := range map[string]struct {
		annotations map[string]string
		want        string
	}{
		"no annotations":        {nil, "null"},
		"others":                {map[string]string{"a": "b"}, "null"},
		"held already":          {map[string]string{pac.HeldOrder: "ns/a"}, "null"},
		"an order":              {map[string]string{keys.ExecutionOrder: "ns/a,ns/b"}, moved("ns/a,ns/b")},
		"an empty order":        {map[string]string{keys.ExecutionOrder: ""}, moved("")},
		"a malformed order":     {map[string]string{keys.ExecutionOrder: "no-slash"}, moved("no-slash")},
		"a new order of a held": {map[string]string{keys.ExecutionOrder: "ns/b", pac.HeldOrder: "ns/a"}, moved("ns/b")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(pac.Hold(c.annotations))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
