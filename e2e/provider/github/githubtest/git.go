package githubtest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

func ref(branch, sha string) object {
	return object{"ref": "refs/heads/" + branch, "object": object{"type": "commit", "sha": sha}}
}

func (s *Server) getRef(repo *repository, r *forge.Request) forge.Reply {
	branch := r.PathValue("branch")
	if repo.hidden > 0 {
		repo.hidden--
		return refuse(http.StatusConflict, "Git Repository is empty.")
	}
	if repo.git.Branches[branch] == "" {
		return notFound()
	}
	return forge.OK(ref(branch, repo.git.Branches[branch]))
}

func (s *Server) updateRef(repo *repository, r *forge.Request) forge.Reply {
	branch, sha := r.PathValue("branch"), r.Text("sha")

	before := repo.git.Branches[branch]
	switch {
	case before == "":
		return invalid("Reference does not exist")
	case repo.git.Commits[sha] == nil:
		return invalid("Object does not exist")
	case !r.Flag("force") && !repo.git.Contains(sha, before):
		return invalid("Update is not a fast forward")
	case before != sha:
		repo.git.Branches[branch] = sha
		s.pushed(repo, branch, before, sha)
	}
	return forge.OK(ref(branch, sha))
}

func (s *Server) createRef(repo *repository, r *forge.Request) forge.Reply {
	branch, isBranch := strings.CutPrefix(r.Text("ref"), "refs/heads/")
	sha := r.Text("sha")
	switch {
	case !isBranch || branch == "":
		return invalid("Reference name must start with 'refs/'")
	case repo.git.Commits[sha] == nil:
		return invalid("Object does not exist")
	case repo.git.Branches[branch] != "":
		return invalid("Reference already exists")
	}
	repo.git.Branches[branch] = sha
	s.pushed(repo, branch, strings.Repeat("0", 40), sha)
	return forge.Created(ref(branch, sha))
}

func (s *Server) createBlob(repo *repository, r *forge.Request) forge.Reply {
	content, isText := r.JSON["content"].(string)
	if !isText {
		return invalid("Invalid request.\n\n\"content\" wasn't supplied.")
	}
	if r.Text("encoding") == "base64" {
		decoded, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			return invalid("content is not valid Base64")
		}
		content = string(decoded)
	}
	return forge.Created(object{"sha": repo.git.Blob(content)})
}

func (s *Server) getBlob(repo *repository, r *forge.Request) forge.Reply {
	content, exists := repo.git.Blobs[r.PathValue("sha")]
	if !exists {
		return notFound()
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(content))
	return forge.OK(object{"sha": r.PathValue("sha"), "encoding": "base64", "content": encoded})
}

func (s *Server) createTree(repo *repository, r *forge.Request) forge.Reply {
	entries, _ := r.JSON["tree"].([]any)
	blobs := map[string]string{}
	if base := r.Text("base_tree"); base != "" {
		if repo.git.Trees[base] == nil {
			return invalid("base_tree is not a valid tree oid")
		}
		maps.Copy(blobs, repo.git.Trees[base])
	}
	for _, e := range entries {
		entry, _ := e.(object)
		path, _ := entry["path"].(string)
		mode, _ := entry["mode"].(string)
		kind, _ := entry["type"].(string)
		content, hasContent := entry["content"].(string)
		sha, hasSHA := entry["sha"].(string)
		switch {
		case path == "" || strings.HasPrefix(path, "/") || mode != "100644" || kind != "blob":
			return invalid("tree.path, tree.mode or tree.type is not valid")
		case hasContent == hasSHA:
			return invalid("Must supply either tree.sha or tree.content, and not both")
		case hasContent:
			sha = repo.git.Blob(content)
		}
		if _, exists := repo.git.Blobs[sha]; !exists {
			return invalid("tree.sha " + sha + " is not a valid blob")
		}
		blobs[path] = sha
	}
	if len(blobs) == 0 {
		return invalid("Invalid tree info")
	}
	return forge.Created(object{"sha": repo.git.Tree(blobs)})
}

func (s *Server) getTree(repo *repository, r *forge.Request) forge.Reply {
	sha := r.PathValue("sha")
	if head := repo.git.Branches[sha]; head != "" {
		sha = head
	}
	if commit := repo.git.Commits[sha]; commit != nil {
		sha = commit.Tree
	}
	blobs, exists := repo.git.Trees[sha]
	if !exists {
		return notFound()
	}
	entries := []object{}
	for _, path := range slices.Sorted(maps.Keys(blobs)) {
		entries = append(entries, object{"path": path, "mode": "100644", "type": "blob", "sha": blobs[path]})
	}
	return forge.OK(object{"sha": sha, "tree": entries, "truncated": false})
}

func (s *Server) createCommit(repo *repository, r *forge.Request) forge.Reply {
	var parents []string
	list, _ := r.JSON["parents"].([]any)
	for _, p := range list {
		parent, _ := p.(string)
		if repo.git.Commits[parent] == nil {
			return invalid("Parent SHA does not exist or is not a commit object")
		}
		parents = append(parents, parent)
	}
	tree, message := r.Text("tree"), r.Text("message")
	if repo.git.Trees[tree] == nil {
		return invalid("Tree SHA does not exist")
	}
	if message == "" {
		return invalid("Invalid request.\n\n\"message\" wasn't supplied.")
	}
	c := repo.git.Commit(tree, message, parents...)
	return forge.Created(object{"sha": c.SHA, "message": message, "tree": object{"sha": tree}})
}

func (s *Server) listCommits(repo *repository, r *forge.Request) forge.Reply {
	head := repo.git.Branches[r.URL.Query().Get("sha")]
	if head == "" {
		return notFound()
	}
	log := repo.git.Log(head)
	return s.List(r, len(log), func(i int) any {
		return object{"sha": log[i].SHA, "commit": object{"message": log[i].Message}}
	})
}
