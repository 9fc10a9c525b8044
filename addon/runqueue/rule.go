package runqueue

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// rule gives a priority to the runs of which a condition holds.
type rule struct {
	when     string
	holding  cel.Program
	priority int
}

// Event is what conditions know of the event of a run. It is exported for CEL only.
type Event struct {
	Type        string `cel:"type"`
	Branch      string `cel:"branch"`
	Target      string `cel:"target"`
	PullRequest string `cel:"pullRequest"`
	Sender      string `cel:"sender"`
}

const (
	// mostRules are those that a CRD lets through.
	mostRules = 16
	// mostCost is what the conditions of a queue cost at most for one run, in CEL's units, which
	// take some tens of nanoseconds each: a condition is evaluated once for every version of a run.
	mostCost = 4000
	// longestText and mostTexts are the longest text that a condition sees, and how many labels or
	// annotations: see pac.Subject.
	longestText, mostTexts = 2048, 128
	// mostNodes is how long a condition is at most, in nodes of its syntax tree, about.
	mostNodes = 1024
)

// environment is what conditions may use: what there is to know of a run, strings and optionals.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	return cel.NewEnv(
		cel.OptionalTypes(), // before the types of ours, which hide from it where to add its own
		ext.NativeTypes(reflect.TypeFor[Event](), ext.ParseStructTags(true)),
		cel.Variable("event", cel.ObjectType("runqueue.Event")),
		cel.Variable("definition", cel.StringType),
		cel.Variable("name", cel.StringType),
		cel.Variable("labels", texts),
		cel.Variable("annotations", texts),
		ext.Strings(),
		cel.ParserExpressionSizeLimit(mostNodes),
	)
})

func variables(of pac.Subject) map[string]any {
	return map[string]any{
		"event": Event{
			Type: of.Event.Type, Branch: of.Event.Branch, Target: of.Event.Target, PullRequest: of.Event.PullRequest,
			Sender: of.Event.Sender,
		},
		"definition": of.Definition, "name": of.Name, "labels": of.Labels, "annotations": of.Annotations,
	}
}

// compileRules returns all rules, or none and an error.
func compileRules(list []v1alpha1.PriorityRule) ([]rule, error) {
	if len(list) > mostRules {
		return nil, fmt.Errorf("spec.priorities has %d rules: want at most %d", len(list), mostRules)
	}
	var rules []rule
	var wrong []error
	cost := uint64(0)
	for i, r := range list {
		compiled, most, err := compileRule(r)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("spec.priorities[%d].when: %w", i, err))
			continue
		}
		rules, cost = append(rules, compiled), cost+most
	}
	if len(wrong) == 0 && cost > mostCost {
		wrong = append(wrong, fmt.Errorf("spec.priorities may cost %d for one run, and at most %d is allowed: compare labels and "+
			"annotations by name instead of going through all of them, and have fewer or shorter conditions", cost, uint64(mostCost)))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return rules, nil
}

// compileRule returns a rule and what its condition may cost.
func compileRule(r v1alpha1.PriorityRule) (is rule, most uint64, err error) {
	if r.Priority < queue.MinPriority || r.Priority > queue.MaxPriority {
		return is, 0, fmt.Errorf("its priority is %d: want a number from %d to %d", r.Priority, queue.MinPriority, queue.MaxPriority)
	}
	env, err := environment()
	if err != nil {
		return is, 0, err
	}
	ast, issues := env.Compile(r.When)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return is, 0, fmt.Errorf("%s (in column %d of %q)", first.Message, first.Location.Column()+1, queue.Clip(r.When, longestShown))
	}
	if ast.OutputType() != cel.BoolType {
		return is, 0, fmt.Errorf("%q is %s: want a condition, which is true or false", queue.Clip(r.When, longestShown), ast.OutputType())
	}
	cost, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return is, 0, err
	}
	program, err := env.Program(ast, cel.CostLimit(mostCost))
	if err != nil {
		return is, 0, err
	}
	return rule{when: r.When, holding: program, priority: int(r.Priority)}, cost.Max, nil
}

// longestShown is how much of a condition an error quotes.
const longestShown = 128

// holds says whether the condition holds. One that asks for a label or an annotation that the run
// does not have does not, unless some of them are cut, and nobody can tell.
func (r *rule) holds(known map[string]any, cut string) (bool, error) {
	value, _, err := r.holding.Eval(known)
	switch {
	case err == nil:
		return value == types.True, nil
	case !strings.Contains(err.Error(), "no such key"): // cel-go has no type for it
	case cut == "":
		return false, nil
	default:
		err = errors.New(cut)
	}
	return false, fmt.Errorf("%q does not count: %w", queue.Clip(r.when, longestShown), err)
}

// sizes are how long the values are that conditions see.
type sizes struct{}

var _ checker.CostEstimator = sizes{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	path := element.Path()
	if len(path) == 1 && (path[0] == "labels" || path[0] == "annotations") {
		return &checker.SizeEstimate{Min: 0, Max: mostTexts}
	}
	if len(path) > 0 {
		return &checker.SizeEstimate{Min: 0, Max: longestText}
	}
	return nil
}

// EstimateCallCost implements checker.CostEstimator: CEL knows what its functions cost.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
