package main

import "fmt"

// run returns a run as PAC writes it, with an order of only itself.
func (w *worker) run(name, repository string) fields {
	return fields{
		"apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
		"metadata": fields{
			"name":   name,
			"labels": fields{managedBy: "pipelinesascode.tekton.dev", ofPAC + "repository": repository, ofPAC + "state": queued},
			"annotations": fields{
				ofPAC + "repository": repository, ofPAC + "state": queued, ofPAC + "execution-order": w.namespace + "/" + name,
			},
		},
		"spec": fields{"status": pending, "pipelineRef": fields{"name": "build"}},
	}
}

func annotationsOf(run fields) fields { return run["metadata"].(fields)["annotations"].(fields) }
func labelsOf(run fields) fields      { return run["metadata"].(fields)["labels"].(fields) }

// repository creates a Repository with a limit; a nil limit leaves it out.
func (w *worker) repository(name string, limit any) bool {
	return w.create(repositories, w.repositoryOf(name, limit))
}

func (w *worker) repositoryOf(name string, limit any) fields {
	spec := fields{"url": "https://git.example.com/" + w.namespace + "/" + name}
	if limit != nil {
		spec["concurrency_limit"] = limit
	}
	return fields{
		"apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": fields{"name": name}, "spec": spec,
	}
}

// shared creates a Repository that the workers of a tenant have in common, and whose limit stays as
// it is.
func (w *worker) shared(what string, limit int) string {
	name := fmt.Sprintf("%s-%d", what, w.phase)
	w.promise(name, limit)
	w.repository(name, int64(limit))
	return name
}

// queue creates a Repository whose limit stays as it is.
func (w *worker) queue(limit int) string {
	name := w.name("shop")
	w.promise(name, limit)
	w.repository(name, int64(limit))
	return name
}

func annotate(key string, value any) fields {
	return fields{"metadata": fields{"annotations": fields{key: value}}}
}

func label(key string, value any) fields {
	return fields{"metadata": fields{"labels": fields{key: value}}}
}

func setStatus(status any) fields { return fields{"spec": fields{"status": status}} }
