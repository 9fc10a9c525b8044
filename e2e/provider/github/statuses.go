package github

import (
	"context"
	"fmt"
	"net/http"

	sdk "github.com/google/go-github/v84/github"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// Statuses implements provider.Repository. PAC reports commit statuses if it uses a token, and
// check runs if it is a GitHub App.
func (r *repository) Statuses(ctx context.Context, sha string) ([]provider.Status, error) {
	reports, err := r.commitStatuses(ctx, sha)
	if err != nil {
		return nil, fmt.Errorf("reading the statuses of %s in %s/%s on GitHub: %w", sha, r.owner, r.name, err)
	}
	runs, err := r.checkRuns(ctx, sha)
	if err != nil {
		return nil, fmt.Errorf("reading the check runs of %s in %s/%s on GitHub: %w", sha, r.owner, r.name, err)
	}
	return driver.Newest(append(reports, runs...)), nil
}

func (r *repository) commitStatuses(ctx context.Context, sha string) ([]driver.Report, error) {
	var reports []driver.Report
	for page := 1; page != 0; {
		statuses, reply, err := r.client().Repositories.ListStatuses(ctx, r.owner, r.name, sha,
			&sdk.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return nil, err
		}
		for _, s := range statuses {
			reports = append(reports, driver.Report{
				Status: provider.Status{Context: s.GetContext(), State: statusState(s.GetState()), Link: s.GetTargetURL()},
				At:     s.GetCreatedAt().Time, ID: s.GetID(),
			})
		}
		page = reply.NextPage
	}
	return reports, nil
}

func (r *repository) checkRuns(ctx context.Context, sha string) ([]driver.Report, error) {
	var reports []driver.Report
	for page := 1; page != 0; {
		runs, reply, err := r.client().Checks.ListCheckRunsForRef(ctx, r.owner, r.name, sha,
			&sdk.ListCheckRunsOptions{ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize}})
		if status(err) == http.StatusForbidden {
			return nil, nil // a fine-grained token may not read them, and PAC, which uses it too, creates none
		}
		if err != nil {
			return nil, err
		}
		for _, run := range runs.CheckRuns {
			reports = append(reports, driver.Report{
				Status: provider.Status{
					Context: run.GetName(), State: checkState(run.GetStatus(), run.GetConclusion()), Link: run.GetDetailsURL(),
				},
				At: run.GetStartedAt().Time, ID: run.GetID(),
			})
		}
		page = reply.NextPage
	}
	return reports, nil
}

func statusState(s string) provider.State {
	switch s {
	case "pending":
		return provider.Pending
	case "success":
		return provider.Success
	}
	return provider.Failure
}

func checkState(status, conclusion string) provider.State {
	switch {
	case status != "completed":
		return provider.Pending
	case conclusion == "success", conclusion == "neutral": // PAC's commit status for a neutral run is success
		return provider.Success
	}
	return provider.Failure
}
