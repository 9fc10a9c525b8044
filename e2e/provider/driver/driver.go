package driver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// CleanupDeadline is how long a driver may take to remove what it made for nothing.
const CleanupDeadline = time.Minute

// ErrNoFiles says that a push has nothing to push: some providers have no word for
// an empty tree.
var ErrNoFiles = errors.New("a push needs at least one file")

// Create has something made once. When it is not known what became of a request,
// it looks for the thing before it asks again, and also when the provider refuses
// to make it again.
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
		found, there, looked := find(ctx)
		if looked != nil {
			return made, errors.Join(err, fmt.Errorf("looking what became of it: %w", looked))
		}
		if there {
			return found, nil
		}
		if !errors.Is(err, ErrUnanswered) {
			return made, err
		}
		made, err = create(ctx)
	}
	return made, nil
}

// Until asks again and again until something that the provider is still making is
// there.
func Until(ctx context.Context, t *Transport, within time.Duration, there func(context.Context) (bool, error)) error {
	began := t.options.Clock.Now()
	for pause := firstPause / 4; ; pause = min(2*pause, 4*firstPause) {
		if done, err := there(ctx); done || err != nil {
			return err
		}
		if t.options.Clock.Now().Sub(began) > within {
			return fmt.Errorf("not there after %s", within)
		}
		if err := t.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// Discard calls a function that removes what was made for nothing, even if the
// context has ended, and adds its error to that of the failure.
func Discard(ctx context.Context, failure error, remove func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CleanupDeadline)
	defer cancel()
	if err := remove(ctx); err != nil {
		return errors.Join(failure, fmt.Errorf("and what was made so far is still there: %w", err))
	}
	return failure
}

// UniqueName returns a name that nobody else has.
func UniqueName(name string) string {
	const longest = 80 // GitHub's is 100
	return name[:min(len(name), longest)] + "-" + strings.ToLower(rand.Text()[:8])
}

// NewDescription returns a description for a repository, which tells people why it
// exists and the driver that it is the one it asked for.
func NewDescription() string {
	return "Made by a test of pac-lease-queue, which deletes it; left over if older than a day. " + rand.Text()
}

// Report is one report about a commit. Of two with the same context, the later one
// holds; providers that report in whole seconds give the later one a higher ID.
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
