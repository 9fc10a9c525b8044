package kind

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// job is one of the nightly end-to-end tests.
type job struct{ Backend, Hold, Provider, Kubernetes string }

// matrix runs scripts/e2e-matrix.sh with nothing but the given environment and PATH.
func matrix(t *testing.T, env ...string) ([]job, error) {
	t.Helper()
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "e2e-matrix.sh"))
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var jobs []job
	if err := json.Unmarshal(out, &jobs); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return jobs, nil
}

// bounds are the newest and the oldest version of the matrix.
func bounds(t *testing.T) (newest, oldest string) {
	t.Helper()
	jobs, err := matrix(t)
	if err != nil || len(jobs) == 0 {
		t.Fatalf("%v, %v", jobs, err)
	}
	return jobs[0].Kubernetes, jobs[len(jobs)-1].Kubernetes
}

func TestMatrix(t *testing.T) {
	newest, oldest := bounds(t)
	for name, c := range map[string]struct {
		env  []string
		want []job // none: it is refused
	}{
		"all": {nil, []job{
			{"lease", "policy", "gitea", newest},
			{"lease", "webhook", "gitea", newest},
			{"lease", "webhook", "gitea", oldest},
			{"memory", "policy", "gitea", newest},
			{"memory", "webhook", "gitea", newest},
			{"memory", "webhook", "gitea", oldest},
		}},
		"before the policy": {
			[]string{"KUBERNETES_VERSION=1.33.13"},
			[]job{{"lease", "webhook", "gitea", "1.33.13"}, {"memory", "webhook", "gitea", "1.33.13"}},
		},
		"with tokens": {
			[]string{"BACKEND=lease", "HOLD=policy", "HAS_GITHUB=1", "HAS_GITLAB=1"},
			[]job{
				{"lease", "policy", "gitea", newest},
				{"lease", "policy", "github", newest},
				{"lease", "policy", "gitlab", newest},
				{"lease", "policy", "mixed", newest},
			},
		},
		"the policy before its time": {[]string{"HOLD=policy", "KUBERNETES_VERSION=1.35.8"}, nil},
		"without a token":            {[]string{"PROVIDER=github"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := matrix(t, c.env...)
			if (err != nil) != (c.want == nil) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
}

// The versions are in the range in which the add-on was tested.
func TestMatrixIsOfTestedVersions(t *testing.T) {
	newest, oldest := bounds(t)
	for _, version := range []string{newest, oldest} {
		if verdict := tested.Judge(tested.Kubernetes, version); verdict != (tested.Verdict{}) {
			t.Errorf("Kubernetes %s: %+v", version, verdict)
		}
	}
}

// kind's default node image is the newest that its release has. If kind is updated, both ends of
// the matrix follow its release notes.
func TestMatrixFollowsKind(t *testing.T) {
	if testing.Short() {
		t.Skip("may fetch the sources of kind")
	}
	dir, err := build.ModuleDir(t.Context(), build.ModuleKind)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(dir, "pkg", "apis", "config", "defaults", "image.go"))
	if err != nil {
		t.Fatal(err)
	}
	image := regexp.MustCompile(`"kindest/node:v([0-9.]+)@`).FindSubmatch(source)
	if image == nil {
		t.Fatalf("no image in\n%s", source)
	}
	if newest, _ := bounds(t); newest != string(image[1]) {
		t.Errorf("the newest is %s, kind's is %s", newest, image[1])
	}
}
