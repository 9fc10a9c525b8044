package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
)

// boardFollows checks that the board shows a queue as its runs go through it.
func boardFollows(ctx context.Context, e *Env) error {
	const runs = 5
	if err := e.Cluster.Upgrade(ctx, "board.enabled=true"); err != nil {
		return err
	}
	e.afterwards(func(ctx context.Context) error { return e.Cluster.Upgrade(ctx, "board.enabled=false") })
	s, err := e.loaded(ctx, "board", 1, runs, 3*time.Second)
	if err != nil {
		return err
	}
	if err := s.onBoard(ctx, runs-1, 1); err != nil {
		return err
	}
	report, err := s.Finished(ctx, runs)
	if err != nil {
		return err
	}
	if err := s.onBoard(ctx, 0, 0); err != nil {
		return err
	}
	last := report.Starts[runs-1].Run
	body, err := e.Cluster.Board(ctx, page.RunPath(s.Key.Namespace, last))
	if err == nil && !strings.Contains(body, "succeeded") {
		err = fmt.Errorf("the board does not show how %s ended:\n%s", last, body)
	}
	return err
}

// onBoard waits until the board shows so many runs of the queue as queued and started.
func (s *Scene) onBoard(ctx context.Context, queued, started int) error {
	return Eventually(ctx, fmt.Sprintf("the board to show %d queued and %d started runs", queued, started), StepDeadline, func() error {
		body, err := s.env.Cluster.Board(ctx, "/api/v1/namespaces/"+s.Key.Namespace+"/queues/"+s.Key.Repository)
		if err != nil {
			return err
		}
		var is struct{ Queued, Started int }
		if err := json.Unmarshal([]byte(body), &is); err != nil {
			return err
		}
		if is.Queued != queued || is.Started != started {
			return errors.New(body)
		}
		return nil
	})
}
