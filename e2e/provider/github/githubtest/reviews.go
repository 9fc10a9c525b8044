package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

func (p pull) json() object {
	return object{
		"number": p.number, "title": p.title, "state": "open", "html_url": p.url,
		"head": object{"ref": p.head, "sha": p.sha}, "base": object{"ref": p.base},
	}
}

func (s *Server) createPull(repo *repository, r *forge.Request) forge.Reply {
	p := pull{number: s.NextID(), title: r.Text("title"), head: r.Text("head"), base: r.Text("base")}
	p.sha, p.url = repo.git.Branches[p.head], fmt.Sprintf("%s/pull/%d", s.html(repo), p.number)
	switch {
	case p.title == "":
		return invalid("Validation Failed: missing_field title")
	case p.sha == "" || repo.git.Branches[p.base] == "":
		return invalid("Validation Failed: head or base is invalid")
	case p.sha == repo.git.Branches[p.base]:
		return invalid("Validation Failed: No commits between " + p.base + " and " + p.head)
	case slices.ContainsFunc(repo.pulls, func(o pull) bool { return o.head == p.head && o.base == p.base }):
		return invalid("Validation Failed: A pull request already exists for " + repo.owner + ":" + p.head)
	}
	repo.pulls = append(repo.pulls, p)
	s.deliver(repo, "pull_request", object{"action": "opened", "number": p.number, "pull_request": p.json()})
	return forge.Created(p.json())
}

func (s *Server) listPulls(repo *repository, r *forge.Request) forge.Reply {
	owner, branch, given := strings.Cut(r.URL.Query().Get("head"), ":")
	pulls := slices.DeleteFunc(slices.Clone(repo.pulls), func(p pull) bool {
		return given && (owner != repo.owner || p.head != branch)
	})
	return s.List(r, len(pulls), func(i int) any { return pulls[i].json() })
}

// --- statuses

func (s *Server) createStatus(repo *repository, r *forge.Request) forge.Reply {
	sha, state := r.PathValue("sha"), r.Text("state")
	switch {
	case repo.git.Commits[sha] == nil:
		return invalid("No commit found for SHA: " + sha)
	case !slices.Contains([]string{"pending", "success", "failure", "error"}, state):
		return invalid("Validation Failed: state is not included in the list")
	case len(repo.statuses[sha]) == 1000:
		return invalid("Validation Failed: This SHA and context has reached the maximum number of statuses.")
	}
	st := status{s.NextID(), r.Text("context"), state, sha, time.Now()}
	if st.context == "" {
		st.context = "default"
	}
	repo.statuses[sha] = append(repo.statuses[sha], st)
	return forge.Created(st.json())
}

func (st status) json() object {
	return object{"id": st.id, "context": st.context, "state": st.state, "created_at": seconds(st.at)}
}

func (s *Server) listStatuses(repo *repository, r *forge.Request) forge.Reply {
	all := repo.statuses[r.PathValue("sha")]
	return s.List(r, len(all), func(i int) any { return all[len(all)-1-i].json() }) // newest first
}

func (s *Server) listChecks(repo *repository, r *forge.Request) forge.Reply {
	if s.o.FineGrained {
		return refuse(http.StatusForbidden, "Resource not accessible by personal access token")
	}
	all := repo.checks[r.PathValue("sha")]
	page := s.List(r, len(all), func(i int) any {
		c := all[len(all)-1-i]
		run := object{"id": c.id, "name": c.name, "status": c.status, "conclusion": nil, "started_at": seconds(c.at)}
		if c.conclusion != "" {
			run["conclusion"] = c.conclusion
		}
		return run
	})
	page.Body = object{"total_count": len(all), "check_runs": page.Body}
	return page
}

// seconds is a time as GitHub writes it: without fractions of a second.
func seconds(at time.Time) string { return at.UTC().Format(time.RFC3339) }
