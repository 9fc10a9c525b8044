package githubtest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
)

func ref(branch, sha string) object {
	return object{"ref": "refs/heads/" + branch, "object": object{"type": "commit", "sha": sha}}
}

func (s *Server) getRef(repo *repository, r *request) reply {
	branch := r.PathValue("branch")
	if repo.hidden > 0 {
		repo.hidden--
		return refuse(http.StatusConflict, "Git Repository is empty.")
	}
	if repo.git.Branches[branch] == "" {
		return notFound()
	}
	return ok(ref(branch, repo.git.Branches[branch]))
}

func (s *Server) updateRef(repo *repository, r *request) reply {
	branch, sha := r.PathValue("branch"), r.text("sha")
	force, _ := r.body["force"].(bool)
	before := repo.git.Branches[branch]
	switch {
	case before == "":
		return invalid("Reference does not exist")
	case repo.git.Commits[sha] == nil:
		return invalid("Object does not exist")
	case !force && !repo.git.Contains(sha, before):
		return invalid("Update is not a fast forward")
	case before != sha:
		repo.git.Branches[branch] = sha
		s.pushed(repo, branch, before, sha)
	}
	return ok(ref(branch, sha))
}

func (s *Server) createRef(repo *repository, r *request) reply {
	branch, isBranch := strings.CutPrefix(r.text("ref"), "refs/heads/")
	sha := r.text("sha")
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
	return created(ref(branch, sha))
}

func (s *Server) createBlob(repo *repository, r *request) reply {
	content, isText := r.body["content"].(string)
	if !isText {
		return invalid("Invalid request.\n\n\"content\" wasn't supplied.")
	}
	if r.text("encoding") == "base64" {
		decoded, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			return invalid("content is not valid Base64")
		}
		content = string(decoded)
	}
	return created(object{"sha": repo.git.Blob(content)})
}

func (s *Server) getBlob(repo *repository, r *request) reply {
	content, exists := repo.git.Blobs[r.PathValue("sha")]
	if !exists {
		return notFound()
	}
	return ok(object{"sha": r.PathValue("sha"), "encoding": "base64", "content": base64.StdEncoding.EncodeToString([]byte(content))})
}

func (s *Server) createTree(repo *repository, r *request) reply {
	entries, _ := r.body["tree"].([]any)
	blobs := map[string]string{}
	if base := r.text("base_tree"); base != "" {
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
	return created(object{"sha": repo.git.Tree(blobs)})
}

func (s *Server) getTree(repo *repository, r *request) reply {
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
	return ok(object{"sha": sha, "tree": entries, "truncated": false})
}

func (s *Server) createCommit(repo *repository, r *request) reply {
	var parents []string
	list, _ := r.body["parents"].([]any)
	for _, p := range list {
		parent, _ := p.(string)
		if repo.git.Commits[parent] == nil {
			return invalid("Parent SHA does not exist or is not a commit object")
		}
		parents = append(parents, parent)
	}
	tree, message := r.text("tree"), r.text("message")
	if repo.git.Trees[tree] == nil {
		return invalid("Tree SHA does not exist")
	}
	if message == "" {
		return invalid("Invalid request.\n\n\"message\" wasn't supplied.")
	}
	c := repo.git.Commit(tree, message, parents...)
	return created(object{"sha": c.SHA, "message": message, "tree": object{"sha": tree}})
}

func (s *Server) listCommits(repo *repository, r *request) reply {
	head := repo.git.Branches[r.URL.Query().Get("sha")]
	if head == "" {
		return notFound()
	}
	log := repo.git.Log(head)
	return s.page(r, len(log), func(i int) any { return object{"sha": log[i].SHA, "commit": object{"message": log[i].Message}} })
}
