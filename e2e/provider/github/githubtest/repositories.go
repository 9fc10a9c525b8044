package githubtest

import (
	"maps"
	"net/http"
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

func (s *Server) repository(r *repository) object {
	return object{
		"id": 1, "name": r.name, "full_name": r.owner + "/" + r.name, "description": r.description, "private": true,
		"html_url": s.html(r), "default_branch": r.defaultBranch, "owner": object{"login": r.owner},
	}
}

func (s *Server) html(r *repository) string { return s.URL + "/" + r.owner + "/" + r.name }

func (s *Server) create(owner string, r *forge.Request) forge.Reply {
	name := r.Text("name")
	if !forge.ValidName(name) || len(name) > 100 {
		return invalid("Repository creation failed: name is missing, too long or has characters that are not allowed")
	}
	if s.repositories[owner+"/"+name] != nil {
		return invalid("Repository creation failed: name already exists on this account")
	}
	repo := &repository{
		owner: owner, name: name, description: r.Text("description"), defaultBranch: s.o.DefaultBranch,
		git: forge.NewGit(), hidden: 1, statuses: map[string][]status{}, checks: map[string][]check{},
	}
	if r.Flag("auto_init") {
		repo.git.Init(repo.defaultBranch, name)
	}
	s.repositories[owner+"/"+name] = repo
	return forge.Created(s.repository(repo))
}

func (s *Server) list(r *forge.Request) forge.Reply {
	names := slices.Sorted(maps.Keys(s.repositories))
	return s.List(r, len(names), func(i int) any { return s.repository(s.repositories[names[i]]) })
}

func (s *Server) delete(repo *repository, _ *forge.Request) forge.Reply {
	delete(s.repositories, repo.owner+"/"+repo.name)
	return forge.Reply{Status: http.StatusNoContent}
}

func (s *Server) rename(repo *repository, r *forge.Request) forge.Reply {
	old, to := r.PathValue("branch"), r.Text("new_name")
	switch sha := repo.git.Branches[old]; {
	case sha == "":
		return notFound()
	case to == "":
		return invalid("Invalid request.\n\n\"new_name\" wasn't supplied.")
	case repo.git.Branches[to] != "":
		return invalid("New branch already exists")
	default:
		delete(repo.git.Branches, old)
		repo.git.Branches[to] = sha
	}
	if repo.defaultBranch == old {
		repo.defaultBranch = to
	}
	return forge.Created(object{"name": to, "commit": object{"sha": repo.git.Branches[to]}})
}
