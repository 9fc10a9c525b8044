package driver

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

const (
	// cleanupDeadline bounds the removal of a repository whose creation failed half-way.
	cleanupDeadline = time.Minute
	// branchDeadline bounds the time until a provider shows the branch of a new repository.
	branchDeadline = 30 * time.Second
)

// ErrNoFiles means that a push has no files. Some providers cannot express an empty tree.
var ErrNoFiles = errors.New("a push needs at least one file")

// Create makes something exactly once. If the outcome of a request is unknown, it looks for the
// thing before it asks again; it also looks when a later request is refused, because an earlier one
// may have succeeded. find reports whether the thing exists and is the one that create makes.
func Create[T any](ctx context.Context, t *Transport,
	find func(context.Context) (T, bool, error), create func(context.Context) (T, error),
) (T, error) {
	made, err := create(ctx)
	for attempt, pause := 1, firstPause; err != nil; attempt, pause = attempt+1, 2*pause {
		if attempt == 1 && !errors.Is(err, ErrUnanswered) || attempt == attempts {
			return made, err
		}
		if waited := t.Sleep(ctx, pause); waited != nil {
			return made, errors.Join(err, waited)
		}
		found, exists, failed := find(ctx)
		if failed != nil {
			return made, errors.Join(err, fmt.Errorf("finding out whether it was created: %w", failed))
		}
		if exists {
			return found, nil
		}
		if !errors.Is(err, ErrUnanswered) {
			return made, err
		}
		made, err = create(ctx)
	}
	return made, nil
}

// CreateOnly is Create for the only thing of its kind in a repository, such as its webhook: it
// exists as soon as list returns anything.
func CreateOnly[T any](ctx context.Context, t *Transport,
	list func(context.Context) ([]T, error), create func(context.Context) (T, error),
) (T, error) {
	return Create(ctx, t, func(ctx context.Context) (T, bool, error) {
		var none T
		found, err := list(ctx)
		if err != nil || len(found) == 0 {
			return none, false, err
		}
		return found[0], true, nil
	}, create)
}

// AwaitBranch polls until the provider shows a branch of a new repository.
func AwaitBranch(ctx context.Context, t *Transport, branch string, exists func(context.Context) (bool, error)) error {
	if err := until(ctx, t, branchDeadline, exists); err != nil {
		return fmt.Errorf("its branch %s: %w", branch, err)
	}
	return nil
}

func until(ctx context.Context, t *Transport, within time.Duration, exists func(context.Context) (bool, error)) error {
	began := t.options.Clock.Now()
	for pause := firstPause / 4; ; pause = min(2*pause, 4*firstPause) {
		if done, err := exists(ctx); done || err != nil {
			return err
		}
		if t.options.Clock.Now().Sub(began) > within {
			return fmt.Errorf("it did not appear within %s", within)
		}
		if err := t.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// Discard removes a repository whose creation failed, if find says that it is the one to be created
// and not an older one of that name. It does so even if the context has ended, and joins its own
// error to the failure.
func Discard[T any](ctx context.Context, failure error,
	find func(context.Context) (T, bool, error), remove func(context.Context) error,
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupDeadline)
	defer cancel()
	_, ours, err := find(ctx)
	if err == nil && ours {
		err = remove(ctx)
	}
	if err != nil {
		return errors.Join(failure, fmt.Errorf("what was created so far still exists: %w", err))
	}
	return failure
}

// UniqueName extends a name to one that is not taken.
func UniqueName(name string) string {
	const longest = 80 // GitHub allows 100 characters
	return name[:min(len(name), longest)] + "-" + strings.ToLower(rand.Text()[:8])
}

// NewDescription returns a description for a repository. It tells readers why the repository
// exists, and it is unique, so that a driver recognises the repository it asked for.
func NewDescription() string {
	return "Made by a test of pac-lease-queue, which deletes it; a leftover if older than a day. " + rand.Text()
}

// Change is what a commit does to one file.
type Change struct {
	Operation string // create, update or delete, the words of both Gitea and GitLab
	Path      string
	Content   string // in Base64; empty for a deletion
}

// Changes lists what turns the old files, by path, into the new ones, which map paths to contents.
func Changes[V any](old map[string]V, files map[string]string) []Change {
	var changes []Change
	for _, path := range slices.Sorted(maps.Keys(old)) {
		if _, stays := files[path]; !stays {
			changes = append(changes, Change{Operation: "delete", Path: path})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		change := Change{Operation: "create", Path: path, Content: base64.StdEncoding.EncodeToString([]byte(files[path]))}
		if _, exists := old[path]; exists {
			change.Operation = "update"
		}
		changes = append(changes, change)
	}
	return changes
}

// Report is one status that was reported for a commit. Of two with the same context the later one
// counts. Where a provider records whole seconds, the later one has the higher ID.
type Report struct {
	provider.Status
	At time.Time
	ID int64
}

// Newest returns the newest status of each context, ordered by context.
func Newest(reports []Report) []provider.Status {
	newest := map[string]Report{}
	for _, r := range reports {
		if before, seen := newest[r.Context]; !seen || later(r, before) {
			newest[r.Context] = r
		}
	}
	var statuses []provider.Status
	for _, r := range newest {
		statuses = append(statuses, r.Status)
	}
	slices.SortFunc(statuses, func(a, b provider.Status) int { return strings.Compare(a.Context, b.Context) })
	return statuses
}

func later(a, b Report) bool {
	if order := a.At.Compare(b.At); order != 0 {
		return order > 0
	}
	return a.ID > b.ID
}
