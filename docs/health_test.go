package docs

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
)

// TestHealth runs the health check for Argo CD that docs/queues.md shows, as Argo CD does: in
// gopher-lua, with the object as a global.
func TestHealth(t *testing.T) {
	text, err := os.ReadFile("queues.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(text), "health.pac-lease-queue.dev_RunQueue: |\n")
	script, _, closed := strings.Cut(script, "```")
	if !found || !closed {
		t.Fatal("docs/queues.md has no health check")
	}
	condition := func(kind string, is metav1.ConditionStatus, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: is, Message: message}
	}
	ready, moving := condition(v1alpha1.ConditionReady, "True", ""), condition(v1alpha1.ConditionStalled, "False", "")
	going := condition(v1alpha1.ConditionPaused, "False", "")
	for name, tc := range map[string]struct {
		observed        int64
		conditions      []metav1.Condition
		status, message string
	}{
		"new":            {0, nil, "Progressing", "no replica has looked at this spec yet"},
		"changed":        {1, []metav1.Condition{ready, going, moving}, "Progressing", "no replica has looked at this spec yet"},
		"as it is to be": {2, []metav1.Condition{ready, going, moving}, "Healthy", "Running"},
		"paused": {
			2, []metav1.Condition{ready, condition(v1alpha1.ConditionPaused, "True", "by ann"), moving}, "Suspended", "by ann",
		},
		"a bad spec": {2, []metav1.Condition{condition(v1alpha1.ConditionReady, "False", "no CEL"), going, moving}, "Degraded", "no CEL"},
		"stalled": {
			2, []metav1.Condition{ready, going, condition(v1alpha1.ConditionStalled, "True", "quota")}, "Degraded", "quota",
		},
	} {
		rq := v1alpha1.RunQueue{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
		if tc.observed > 0 {
			rq.Status = v1alpha1.RunQueueStatus{ObservedGeneration: tc.observed, State: v1alpha1.StateRunning, Conditions: tc.conditions}
		}
		document, err := json.Marshal(rq)
		if err != nil {
			t.Fatal(err)
		}
		var object any
		if err := json.Unmarshal(document, &object); err != nil {
			t.Fatal(err)
		}
		state := lua.NewState()
		state.SetGlobal("obj", valueOf(state, object))
		if err := state.DoString(script); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		health := state.Get(-1)
		status, message := state.GetField(health, "status").String(), state.GetField(health, "message").String()
		if status != tc.status || message != tc.message {
			t.Errorf("%s: %s, %q; want %s, %q", name, status, message, tc.status, tc.message)
		}
		state.Close()
	}
}

// valueOf is what Lua sees of a JSON value.
func valueOf(state *lua.LState, value any) lua.LValue {
	switch is := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, field := range is {
			table.RawSetString(key, valueOf(state, field))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range is {
			table.Append(valueOf(state, item))
		}
		return table
	case string:
		return lua.LString(is)
	case float64:
		return lua.LNumber(is)
	case bool:
		return lua.LBool(is)
	default:
		return lua.LNil
	}
}
