package webhooks_test

import "maps"

type object = map[string]any

// with returns an object with more fields.
func with(o object, more object) object {
	all := maps.Clone(o)
	maps.Copy(all, more)
	return all
}

// What the webhooks are about: a project with a branch and a pull request from a fork.
const (
	projectURL = "https://git.example.com/shop/app"
	forkURL    = "https://git.example.com/ann/app"
	number     = 7
	projectID  = 1
	// mainHead is the head of main, forkHead that of the pull request, and merged a commit of main
	// that came from it.
	mainHead = "0123456789abcdef0123456789abcdef01234567"
	forkHead = "89abcdef0123456789abcdef0123456789abcdef"
	merged   = "fedcba9876543210fedcba9876543210fedcba98"
)

// webhook is one row of the table.
type webhook struct {
	provider string
	name     string
	header   string
	event    string // the header's value
	payload  object
	// want is the type that PAC gives to the event, and of the number of its pull request.
	want string
	of   int
	// none says that no definition matches it.
	none bool
}

// all are the webhooks of which PAC makes runs. Those that close a pull request or cancel runs are
// not among them.
func all() (all []webhook) {
	for _, of := range []struct {
		provider, header string
		webhooks         []webhook
	}{
		{"GitHub", "X-GitHub-Event", gitHub()},
		{"GitLab", "X-Gitlab-Event", gitLab()},
		{"Forgejo", "X-Gitea-Event-Type", forgejo()},
		{"Bitbucket Cloud", "X-Event-Key", bitbucketCloud()},
		{"Bitbucket Data Center", "X-Event-Key", bitbucketDataCenter()},
	} {
		for _, w := range of.webhooks {
			w.provider, w.header = of.provider, of.header
			all = append(all, w)
		}
	}
	return all
}

func gitHub() []webhook {
	user := object{"login": "ann", "type": "User"}
	repository := object{
		"id": projectID, "name": "app", "full_name": "shop/app", "html_url": projectURL, "default_branch": "main",
		"owner": object{"login": "shop"},
	}
	base := object{"repository": repository, "sender": user}
	push := func(ref, sha string) object {
		return with(base, object{
			"ref": ref, "before": forkHead, "after": sha, "pusher": object{"name": "ann"},
			"head_commit": object{"id": sha, "message": "fix", "url": projectURL + "/commit/" + sha},
		})
	}
	pull := func(action string) object {
		return with(base, object{"action": action, "number": number, "pull_request": gitHubPull()})
	}
	comment := func(text string) object {
		return with(base, object{
			"action": "created", "comment": object{"body": text},
			"issue": object{"number": number, "state": "open", "pull_request": object{"html_url": projectURL + "/pull/7"}},
		})
	}
	onCommit := func(text string) object {
		return with(base, object{"action": "created", "comment": object{"body": text, "commit_id": mainHead}})
	}
	suite := func(pulls ...object) object {
		return object{"head_sha": mainHead, "head_branch": "main", "repository": repository, "pull_requests": pulls}
	}
	again := func(what string, is object) object { return with(base, object{"action": "rerequested", what: is}) }
	of := object{"number": number}
	return []webhook{
		{name: "a push", event: "push", payload: push("refs/heads/main", mainHead), want: "push"},
		{name: "a push of a pull request's commit", event: "push", payload: push("refs/heads/main", merged), want: "push", of: number},
		{name: "a tag", event: "push", payload: push("refs/tags/v1.0", mainHead), want: "push"},
		{name: "opened", event: "pull_request", payload: pull("opened"), want: "pull_request", of: number},
		{name: "pushed to", event: "pull_request", payload: pull("synchronize"), want: "pull_request", of: number},
		{name: "a label", event: "pull_request", payload: pull("labeled"), want: "pull_request_labeled", of: number},
		{name: "/test", event: "issue_comment", payload: comment("/test"), want: "test-all-comment", of: number},
		{name: "/test build", event: "issue_comment", payload: comment("/test build"), want: "test-comment", of: number},
		{name: "/retest", event: "issue_comment", payload: comment("/retest"), want: "retest-all-comment", of: number},
		{name: "/retest build", event: "issue_comment", payload: comment("/retest build"), want: "retest-comment", of: number},
		{name: "/ok-to-test", event: "issue_comment", payload: comment("/ok-to-test"), want: "ok-to-test-comment", of: number},
		{name: "/deploy", event: "issue_comment", payload: comment("/deploy"), want: "on-comment", of: number},
		{name: "/test of a commit", event: "commit_comment", payload: onCommit("/test"), want: "test-all-comment"},
		{name: "/retest build of a commit", event: "commit_comment", payload: onCommit("/retest build"), want: "retest-comment"},
		{name: "/deploy of a commit", event: "commit_comment", payload: onCommit("/deploy"), want: "on-comment"},
		{
			name: "checks of a pull request again", event: "check_suite", payload: again("check_suite", suite(of)),
			want: "pull_request", of: number,
		},
		{
			name: "a check of a pull request again", event: "check_run",
			payload: again("check_run", object{"check_suite": suite(of)}), want: "pull_request", of: number,
		},
		{name: "checks of a push again", event: "check_suite", payload: again("check_suite", suite()), want: "push"},
		{
			// PAC gives it no target, so that no on-event matches it.
			name: "a check of a push again", event: "check_run",
			payload: again("check_run", object{"check_suite": suite()}), want: "push", none: true,
		},
	}
}

func gitHubPull() object {
	return object{
		"number": number, "state": "open", "title": "fix", "html_url": projectURL + "/pull/7",
		"user":   object{"login": "ann", "type": "User"},
		"labels": []object{{"name": "bug"}},
		"head":   object{"ref": "fix", "sha": forkHead, "repo": object{"id": 2, "html_url": forkURL}},
		"base": object{
			"ref": "main", "sha": mainHead, "repo": object{"id": projectID, "html_url": projectURL, "default_branch": "main"},
		},
	}
}

func gitLab() []webhook {
	project := object{
		"id": projectID, "name": "app", "web_url": projectURL, "default_branch": "main", "path_with_namespace": "shop/app",
	}
	base := object{"user": object{"id": 3, "username": "ann"}, "project": project, "project_id": projectID}
	push := func(kind, ref string) object {
		return with(base, object{
			"object_kind": kind, "event_name": kind, "ref": ref, "before": forkHead, "after": mainHead, "checkout_sha": mainHead,
			"user_username": "ann", "user_id": 3, "commits": []object{{"id": mainHead, "title": "fix"}},
		})
	}
	request := object{
		"iid": number, "title": "fix", "state": "opened", "source_branch": "fix", "target_branch": "main",
		"source_project_id": 2, "target_project_id": projectID, "last_commit": object{"id": forkHead, "title": "fix"},
		"source": object{"web_url": forkURL, "path_with_namespace": "ann/app"},
		"target": object{"web_url": projectURL, "path_with_namespace": "shop/app"},
	}
	label := object{"id": 1, "title": "bug"}
	merge := func(more, changes object) object {
		return with(base, object{
			"object_kind": "merge_request", "event_type": "merge_request", "object_attributes": with(request, more),
			"labels": []object{label}, "changes": changes,
		})
	}
	note := func(on string, attributes, more object) object {
		kind := with(attributes, object{"noteable_type": on, "action": "create"})
		return with(with(base, object{"object_kind": "note", "event_type": "note", "object_attributes": kind}), more)
	}
	comment := func(text string) object {
		return note("MergeRequest", object{"note": text}, object{"merge_request": request})
	}
	onCommit := note("Commit", object{"note": "/test", "commit_id": mainHead}, object{
		"repository": object{"name": "app"}, "commit": object{"id": mainHead, "title": "fix"},
	})
	return []webhook{
		{name: "a push", event: "Push Hook", payload: push("push", "refs/heads/main"), want: "push"},
		{name: "a tag", event: "Tag Push Hook", payload: push("tag_push", "refs/tags/v1.0"), want: "Tag Push"},
		{
			name: "opened", event: "Merge Request Hook", payload: merge(object{"action": "open"}, nil),
			want: "Merge Request", of: number,
		},
		{
			name: "pushed to", event: "Merge Request Hook",
			payload: merge(object{"action": "update", "oldrev": mainHead}, nil), want: "Merge Request", of: number,
		},
		{
			name: "a label", event: "Merge Request Hook",
			payload: merge(object{"action": "update"}, object{"labels": object{"previous": []object{}, "current": []object{label}}}),
			want:    "pull_request_labeled", of: number,
		},
		{name: "/test", event: "Note Hook", payload: comment("/test"), want: "test-all-comment", of: number},
		{name: "/retest build", event: "Note Hook", payload: comment("/retest build"), want: "retest-comment", of: number},
		{name: "/ok-to-test", event: "Note Hook", payload: comment("/ok-to-test"), want: "ok-to-test-comment", of: number},
		{name: "/deploy", event: "Note Hook", payload: comment("/deploy"), want: "on-comment", of: number},
		{name: "/test of a commit", event: "Note Hook", payload: onCommit, want: "test-all-comment"},
	}
}

func forgejo() []webhook {
	user := object{"id": 3, "login": "ann", "username": "ann"}
	repository := object{
		"id": projectID, "name": "app", "full_name": "shop/app", "html_url": projectURL, "default_branch": "main",
		"owner": object{"id": 1, "login": "shop", "username": "shop"},
	}
	base := object{"repository": repository, "sender": user}
	push := func(ref string) object {
		return with(base, object{
			"ref": ref, "before": forkHead, "after": mainHead, "pusher": user,
			"head_commit": object{"id": mainHead, "message": "fix", "url": projectURL + "/commit/" + mainHead},
		})
	}
	pull := object{
		"number": number, "title": "fix", "html_url": projectURL + "/pulls/7", "labels": []object{{"name": "bug"}},
		"head": object{"ref": "fix", "sha": forkHead, "repo": object{"html_url": forkURL}},
		"base": object{"ref": "main", "sha": mainHead, "repo": object{"html_url": projectURL}},
	}
	request := func(action string) object {
		return with(base, object{"action": action, "number": number, "pull_request": pull})
	}
	comment := func(text string) object {
		return with(base, object{
			"action": "created", "is_pull": true, "comment": object{"body": text}, "pull_request": pull,
			"issue": object{
				"number": number, "state": "open", "url": "https://git.example.com/api/v1/repos/shop/app/issues/7",
				"pull_request": object{"merged": false},
			},
		})
	}
	return []webhook{
		{name: "a push", event: "push", payload: push("refs/heads/main"), want: "push"},
		{name: "a tag", event: "push", payload: push("refs/tags/v1.0"), want: "push"},
		{name: "opened", event: "pull_request", payload: request("opened"), want: "pull_request", of: number},
		{name: "pushed to", event: "pull_request_sync", payload: request("synchronized"), want: "pull_request", of: number},
		{
			name: "a label", event: "pull_request_label", payload: request("label_updated"), want: "pull_request_labeled",
			of: number,
		},
		{name: "/test", event: "issue_comment", payload: comment("/test"), want: "test-all-comment", of: number},
		{name: "/retest", event: "pull_request_comment", payload: comment("/retest"), want: "retest-all-comment", of: number},
		{name: "/ok-to-test", event: "issue_comment", payload: comment("/ok-to-test"), want: "ok-to-test-comment", of: number},
		{name: "/deploy", event: "issue_comment", payload: comment("/deploy"), want: "on-comment", of: number},
	}
}

func bitbucketCloud() []webhook {
	links := func(url string) object { return object{"html": object{"href": url}} }
	repository := object{
		"name": "app", "full_name": "shop/app", "workspace": object{"slug": "shop"}, "links": links(projectURL),
	}
	base := object{"repository": repository, "actor": object{"account_id": "3", "nickname": "ann"}}
	push := func(kind, name string) object {
		target := object{"hash": mainHead, "links": links(projectURL + "/commits/" + mainHead)}
		return with(base, object{"push": object{"changes": []object{{
			"new": object{"type": kind, "name": name, "target": target},
			"old": object{"type": kind, "name": name, "target": target},
		}}}})
	}
	side := func(branch, sha, url string) object {
		return object{
			"branch": object{"name": branch}, "commit": object{"hash": sha}, "repository": object{"links": links(url)},
		}
	}
	pull := with(base, object{"pullrequest": object{
		"id": number, "title": "fix", "state": "OPEN", "author": object{"account_id": "3", "nickname": "ann"},
		"source": side("fix", forkHead, forkURL), "destination": side("main", mainHead, projectURL),
	}})
	comment := func(text string) object {
		return with(pull, object{"comment": object{"content": object{"raw": text}, "user": object{"account_id": "3"}}})
	}
	return []webhook{
		{name: "a push", event: "repo:push", payload: push("branch", "main"), want: "push"},
		{name: "a tag", event: "repo:push", payload: push("tag", "v1.0"), want: "push"},
		{name: "opened", event: "pullrequest:created", payload: pull, want: "pull_request", of: number},
		{name: "pushed to", event: "pullrequest:updated", payload: pull, want: "pull_request", of: number},
		{name: "/test", event: "pullrequest:comment_created", payload: comment("/test"), want: "test-all-comment", of: number},
		{
			name: "/retest build", event: "pullrequest:comment_created", payload: comment("/retest build"),
			want: "retest-comment", of: number,
		},
		{
			name: "/ok-to-test", event: "pullrequest:comment_created", payload: comment("/ok-to-test"),
			want: "ok-to-test-comment", of: number,
		},
	}
}

func bitbucketDataCenter() []webhook {
	actor := object{"id": 3, "name": "ann"}
	repository := func(url, project string) object {
		return object{
			"slug": "app", "name": "app", "project": object{"key": project},
			"links": object{
				"self":  []object{{"href": url + "/browse"}},
				"clone": []object{{"name": "http", "href": url + ".git"}},
			},
		}
	}
	push := func(ref string) object {
		return object{
			"eventKey": "repo:refs_changed", "actor": actor, "repository": repository(projectURL, "SHOP"),
			"changes": []object{{"refId": ref, "fromHash": forkHead, "toHash": mainHead, "type": "UPDATE"}},
			"commits": []object{{"id": mainHead}}, "toCommit": object{"id": mainHead},
		}
	}
	pull := object{"actor": actor, "pullRequest": object{
		"id": number, "title": "fix", "state": "OPEN", "open": true,
		"fromRef": object{"displayId": "fix", "latestCommit": forkHead, "repository": repository(forkURL, "~ANN")},
		"toRef":   object{"displayId": "main", "latestCommit": mainHead, "repository": repository(projectURL, "SHOP")},
	}}
	comment := func(text string) object { return with(pull, object{"comment": object{"id": 9, "text": text}}) }
	return []webhook{
		{name: "a push", event: "repo:refs_changed", payload: push("refs/heads/main"), want: "push"},
		{name: "a tag", event: "repo:refs_changed", payload: push("refs/tags/v1.0"), want: "push"},
		{name: "opened", event: "pr:opened", payload: pull, want: "pull_request", of: number},
		{name: "pushed to", event: "pr:from_ref_updated", payload: pull, want: "pull_request", of: number},
		{name: "/test", event: "pr:comment:added", payload: comment("/test"), want: "test-comment", of: number},
		{name: "/retest", event: "pr:comment:added", payload: comment("/retest"), want: "retest-comment", of: number},
		{name: "/ok-to-test", event: "pr:comment:added", payload: comment("/ok-to-test"), want: "ok-to-test-comment", of: number},
	}
}
