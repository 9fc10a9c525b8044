package main

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// orders: case T1.
func buildOrders(w *worker) {
	w.target = w.queue(1)
	w.stockUp(stockOfOrders, func() { w.longOrder() })
}

func orders(w *worker) {
	for w.going() {
		w.longOrder()
		w.atMost(pipelineRuns, w.stock(stockOfOrders))
	}
}

// longOrder creates a run with an order that is too long.
func (w *worker) longOrder() {
	name := w.name("order")
	repository := "nowhere-" + name
	if w.random.IntN(2) == 0 {
		repository = w.target
	}
	run := w.run(name, repository)
	delete(annotationsOf(run), ofPAC+"execution-order")
	key := []string{ofPAC, ofOurs}[w.random.IntN(2)] + "execution-order"
	var order string
	switch w.random.IntN(8) {
	case 0:
		order = strings.Repeat(w.namespace+"/a,", longAnnotations/(len(w.namespace)+3))
	case 1:
		order = strings.Repeat("x", longAnnotations) // neither slash nor comma
	case 2:
		order = strings.Repeat("/,", longAnnotations/2)
	default:
		var list strings.Builder
		for i := w.random.IntN(1 << 20); list.Len() < longAnnotations-100; i++ { // no two lists are alike
			fmt.Fprintf(&list, "%s/r%d,", w.namespace, i)
		}
		order = list.String() + w.namespace + "/" + name
	}
	if w.random.IntN(4) == 0 {
		annotationsOf(run)[key] = order
		w.createLarge(pipelineRuns, longAnnotations, run)
		return
	}
	// As PAC does it, the order comes later.
	if w.createLarge(pipelineRuns, longAnnotations, run) {
		w.patch(pipelineRuns, name, annotate(key, order))
	}
}

// annotations: what T1 does with the order, with everything else.
func buildAnnotations(w *worker) {
	w.target = w.queue(1)
	w.stockUp(stockOfAnnotations, func() { w.longAnnotation() })
}

func annotations(w *worker) {
	for w.going() {
		name := w.longAnnotation()
		if w.random.IntN(4) == 0 { // once more, when it is known already
			w.patch(pipelineRuns, name, annotate(meaningful[w.random.IntN(len(meaningful))], strings.Repeat("w", 100<<10)))
		}
		w.atMost(pipelineRuns, w.stock(stockOfAnnotations))
	}
}

// meaningful annotations are those that the add-on or PAC reads or writes.
var meaningful = []string{
	ofPAC + "source-branch", ofPAC + "original-prname", ofPAC + "controller-info", ofPAC + "event-type", ofPAC + "pull-request",
	ofPAC + "secret-created", ofPAC + "installation-id", ofPAC + "check-run-id", ofPAC + "cancel-in-progress", ofPAC + "repository",
	ofOurs + "reason", ofOurs + "status", ofOurs + "position", ofOurs + "queued-at", ofOurs + "estimated-start", ofOurs + "replica",
	ofOurs + "claim", ofOurs + "attempt", ofOurs + "not-before", "kubectl.kubernetes.io/last-applied-configuration",
}

// longAnnotation creates a run with a long annotation and many labels, and returns its name.
func (w *worker) longAnnotation() string {
	name := w.name("long")
	run := w.run(name, w.target)
	annotationsOf(run)[meaningful[w.random.IntN(len(meaningful))]] = name + strings.Repeat("y", longAnnotations-1000)
	for i := range 1000 {
		labelsOf(run)[fmt.Sprintf("label-%d-%s", i, w.prefix)] = strings.Repeat("z", 60)
	}
	w.createLarge(pipelineRuns, longAnnotations+80<<10, run)
	return name
}

// scripts: case T2. The first claim of a queue is decided on what is read past the caches.
func buildScripts(w *worker) {
	w.target = w.name("heavy")
	script := strings.Repeat("echo this is a long script\n", longScript/27)
	w.stockUp(stockOfScripts, func() {
		run := w.run(w.name("script"), w.target)
		run["spec"] = fields{"status": pending, "pipelineSpec": fields{"tasks": []any{fields{"name": "t", "taskSpec": fields{
			"steps": []any{fields{"name": "s", "image": "busybox", "script": script}},
		}}}}}
		w.createLarge(pipelineRuns, longScript, run)
	})
}

func scripts(w *worker) {
	for w.going() { // a new Repository has no slot yet
		w.repository(w.target, int64(1))
		w.rest(time.Second)
		w.delete(repositories, w.target)
		w.rest(time.Second)
	}
}

// slot waits for the first slot of a queue, and returns its Lease.
func (w *worker) slot(repository string) *unstructured.Unstructured {
	for w.going() {
		if l := w.get(leases, repository+".slot-0"); l != nil {
			return l
		}
		w.rest(50 * time.Millisecond)
	}
	return nil
}

// fill creates runs of a queue, and returns their names.
func (w *worker) fill(repository string, runs int) []string {
	var names []string
	for i := 0; i < runs && w.going(); i++ {
		name := w.name("run")
		if w.create(pipelineRuns, w.run(name, repository)) {
			names = append(names, name)
		}
	}
	return names
}

// ghosts: case T3. The tenant copies the Lease of its own slot.
func buildGhosts(w *worker) {
	w.target = w.queue(1)
	w.fill(w.target, 5)
	if w.model = w.slot(w.target); w.model != nil {
		w.stockUp(stockOfGhosts, func() { w.ghost() })
	}
}

func ghosts(w *worker) {
	for w.going() && w.model != nil {
		w.ghost()
		w.atMost(leases, w.stock(stockOfGhosts))
		if w.random.IntN(20) == 0 {
			w.fill(w.target, 1)
		}
	}
}

// ghost creates a Lease like a slot, whose holder does not exist.
func (w *worker) ghost() {
	ghost := w.like(w.target)
	if w.random.IntN(50) == 0 {
		ghost["metadata"].(fields)["annotations"].(fields)[ofOurs+"event"] = strings.Repeat("e", 100<<10)
	}
	w.create(leases, ghost)
}

// like returns a Lease like the model, of a new index of a Repository, whose holder does not exist.
func (w *worker) like(repository string) fields {
	w.names++
	copied := func(texts map[string]string, more fields) fields {
		all := fields{}
		for key, value := range texts {
			if value == w.target {
				value = repository
			}
			all[key] = value
		}
		maps.Copy(all, more)
		return all
	}
	metadata := fields{
		"name":   fmt.Sprintf("%s.slot-%d", repository, w.names),
		"labels": copied(w.model.GetLabels(), fields{ofOurs + "slot": fmt.Sprint(w.names)}),
		"annotations": copied(w.model.GetAnnotations(), fields{
			ofOurs + "run-uid": fmt.Sprintf("ghost-%s-%d", w.prefix, w.names), ofOurs + "attempt": "0",
		}),
	}
	if owners, ok, _ := unstructured.NestedSlice(w.model.Object, "metadata", "ownerReferences"); ok && repository == w.target {
		metadata["ownerReferences"] = owners
	}
	return fields{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
		"spec": fields{"holderIdentity": fmt.Sprintf("ghost-%d", w.names), "leaseTransitions": int64(1)},
	}
}

// copySlot has the tenant make a queue and take its slot for a model.
func (w *worker) copySlot() bool {
	w.target = w.queue(1)
	w.fill(w.target, 1)
	w.model = w.slot(w.target)
	return w.model != nil
}

// texts: what T1 does with runs, with Leases.
func buildTexts(w *worker) {
	if w.copySlot() {
		w.stockUp(stockOfTexts, func() { w.text() })
	}
}

func texts(w *worker) {
	for w.going() && w.model != nil {
		w.text()
		w.atMost(leases, w.stock(stockOfTexts))
	}
}

// text creates a Lease like a slot with a long annotation, or whose holder has a long name.
func (w *worker) text() {
	lease := w.like(w.target)
	metadata := lease["metadata"].(fields)
	text := metadata["name"].(string) + strings.Repeat("t", longAnnotations-1000)
	if w.random.IntN(2) == 0 {
		lease["spec"].(fields)["holderIdentity"] = text
	} else {
		key := ofOurs + []string{"event", "run-uid", "attempt", "note"}[w.random.IntN(4)]
		metadata["annotations"].(fields)[key] = text
	}
	w.createLarge(leases, longAnnotations, lease)
}

// settings: what T1 does with runs, with Repositories.
func buildSettings(w *worker) {
	w.stockUp(stockOfTexts, func() { w.setting() })
}

func settings(w *worker) {
	for w.going() {
		name := w.setting()
		w.patch(repositories, name, fields{"spec": fields{"concurrency_limit": int64(w.random.IntN(9))}})
		w.atMost(repositories, w.stock(stockOfTexts))
	}
}

// setting creates a Repository with a long annotation or a long parameter, and returns its name.
func (w *worker) setting() string {
	name := w.name("setting")
	repository := w.repositoryOf(name, int64(1))
	text := name + strings.Repeat("s", longAnnotations-1000)
	if w.random.IntN(2) == 0 {
		repository["metadata"].(fields)["annotations"] = fields{"note": text}
	} else {
		repository["spec"].(fields)["params"] = []any{fields{"name": "p", "value": text}}
	}
	w.createLarge(repositories, longAnnotations, repository)
	return name
}

// buildBrims has the workers of one tenant fill what the documentation says that its namespace has
// of the replicas' memory. They give up if that is refused.
func buildBrims(w *worker) {
	w.target = w.queue(1)
	if !w.tenant.first {
		return
	}
	for made, refused := 0, 0; made < stockOfBrims && refused < 10 && w.going(); {
		if w.brim() {
			made++
		} else {
			refused++
		}
	}
}

func brims(w *worker) {
	for w.going() {
		w.brim()
		if !w.tenant.first {
			w.atMost(pipelineRuns, stockOfRuns)
		}
	}
}

// brim creates a run and makes its annotations as long as they may be. Few are in a queue that
// exists.
func (w *worker) brim() bool {
	name := w.name("brim")
	text := func(bytes int) string { return name + strings.Repeat("b", bytes-len(name)) }
	repository := w.target
	if w.random.IntN(20) > 0 {
		repository = "nowhere-" + name
	}
	run := w.run(name, repository)
	maps.Copy(annotationsOf(run), fields{
		ofPAC + "controller-info": `{"name":"` + text(480) + `"}`,
		ofPAC + "original-prname": text(250), ofPAC + "source-branch": text(250), ofPAC + "event-type": text(60),
	})
	var order strings.Builder
	for i := range mostOfOrder - 1 {
		fmt.Fprintf(&order, "%s/%d,", w.namespace, w.names*mostOfOrder+i)
	}
	return w.create(pipelineRuns, run) && w.patch(pipelineRuns, name, fields{"metadata": fields{"annotations": fields{
		ofPAC + "execution-order": order.String() + w.namespace + "/" + name,
		ofOurs + "reason":         text(1000), ofOurs + "estimated-start": text(120),
		ofOurs + "status": text(60), ofOurs + "position": text(60), ofOurs + "queued-at": text(60),
	}}})
}

// hoards: case T3 where it is worst. There are Leases like slots of Repositories that do not exist
// yet, every fourth one free. Then the Repositories come, each in another namespace, and every
// worker of a replica has a queue with very much to do.
func buildHoards(w *worker) { w.hoard(1, w.stock(leasesOfHoard)) }

// swarm is the same with more queues of fewer namespaces, of which each has less to do.
func buildSwarm(w *worker) { w.hoard(w.stock(stockOfSwarm), leasesOfSwarm) }

func (w *worker) hoard(repositories, each int) {
	if !w.copySlot() {
		return
	}
	for range repositories {
		w.hoarded = append(w.hoarded, w.name("hoard"))
	}
	for n := range each {
		for _, repository := range w.hoarded {
			lease := w.like(repository)
			if n%4 == 0 {
				delete(lease["spec"].(fields), "holderIdentity")
			}
			w.create(leases, lease)
		}
	}
}

func hoards(w *worker) {
	for _, repository := range w.hoarded {
		w.repository(repository, int64(1))
	}
	w.hoardOn()
}

// swarm is hoards with a run in each queue. Afterwards each has an empty slot, and nothing happens.
func swarm(w *worker) {
	for _, repository := range w.hoarded {
		w.repository(repository, int64(1))
		w.fill(repository, 1)
	}
	w.hoardOn()
}

// hoardOn makes more Leases.
func (w *worker) hoardOn() {
	for w.going() && len(w.hoarded) > 0 {
		w.create(leases, w.like(w.hoarded[w.random.IntN(len(w.hoarded))]))
	}
}

// slots: case T6, and what else can be done to Leases.
func slots(w *worker) {
	// Another Lease is where a slot comes later.
	early := w.name("early")
	w.create(leases, fields{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": fields{"name": early + ".slot-0"}, "spec": fields{},
	})
	w.promise(early, 3)
	w.repository(early, int64(3))
	repository := w.queue(2)
	for w.going() {
		w.fill(early, 2)
		w.fill(repository, 2)
		for range 8 {
			name := fmt.Sprintf("%s.slot-%d", repository, w.random.IntN(3))
			switch w.random.IntN(9) {
			case 0:
				w.delete(leases, name)
			case 1:
				w.patch(leases, name, fields{"spec": fields{"holderIdentity": "ghost"}})
			case 2:
				w.patch(leases, name, fields{"spec": fields{"holderIdentity": nil}})
			case 3:
				w.patch(leases, name, fields{"spec": fields{"leaseTransitions": int64(w.random.Int32())}})
			case 4:
				w.patch(leases, name, label(managedBy, nil))
			case 5:
				w.patch(leases, name, annotate(ofOurs+"run-uid", strings.Repeat("u", 100<<10)))
			case 6:
				w.patch(leases, name, annotate(ofOurs+"repository", early))
			case 7:
				w.patch(leases, name, fields{"metadata": fields{"finalizers": []any{"example.com/never"}}})
			case 8:
				w.create(leases, fields{
					"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": fields{"name": name},
					"spec": fields{"holderIdentity": "somebody"},
				})
			}
		}
		w.atMost(pipelineRuns, stockOfRuns)
	}
}

// crowd: case T4.
func buildCrowd(w *worker) {
	w.target = w.shared("crowd", 1)
	w.stockUp(w.crowd(), func() { w.crowded() })
}

func crowd(w *worker) {
	for w.going() {
		w.crowded()
		w.atMost(pipelineRuns, w.stock(w.crowd()))
	}
}

// crowd is how many runs this worker makes.
func (w *worker) crowd() int {
	if w.tenant.first {
		return stockOfLargeCrowd
	}
	return stockOfCrowd
}

// crowded creates a run that would cancel older ones of its branch, but nearly always there are
// none.
func (w *worker) crowded() {
	name := w.name("crowd")
	run := w.run(name, w.target)
	maps.Copy(annotationsOf(run), fields{
		ofPAC + "cancel-in-progress": "true", ofPAC + "original-prname": "build", ofPAC + "event-type": "push",
		ofPAC + "source-branch": "refs/heads/" + name,
	})
	if w.random.IntN(100) == 0 {
		annotationsOf(run)[ofPAC+"source-branch"] = "refs/heads/main"
	}
	w.create(pipelineRuns, run)
}

// marks: case T7, and all else that a decision may go by.
func marks(w *worker) {
	repository, other := w.queue(1), w.queue(1)
	for w.going() {
		for _, name := range w.fill(repository, 3) {
			for _, patch := range []fields{
				annotate(ofPAC+"repository", other),
				annotate(ofPAC+"repository", nil),
				annotate(ofPAC+"repository", "nowhere"),
				label(managedBy, nil),
				label(managedBy, "tenant"),
				label(ofPAC+"repository", other),
				label(ofPAC+"state", completed),
				annotate(ofPAC+"state", completed),
				annotate(ofPAC+"execution-order", w.namespace+"/zzz,"+w.namespace+"/"+name),
				annotate(ofOurs+"execution-order", nil),
				annotate(ofOurs+"claim", "0/1/0"),
				annotate(ofOurs+"claim", nil),
				annotate(ofOurs+"attempt", "1000000"),
				annotate(ofOurs+"not-before", "2999-01-01T00:00:00Z"),
				annotate(ofPAC+"controller-info", `{"name":"other","globalrepository":"other"}`),
				annotate(ofPAC+"original-prname", "other"),
				annotate(ofPAC+"cancel-in-progress", "true"),
				annotate(ofPAC+"secret-created", "false"),
				{"metadata": fields{"finalizers": []any{"example.com/never"}}},
				{"metadata": fields{"ownerReferences": nil}},
			} {
				if w.random.IntN(3) == 0 {
					w.patch(pipelineRuns, name, patch)
				}
			}
		}
		w.tidy(stockOfRuns)
	}
}

// tidy keeps so many runs, and takes away the finalizers that keep the others.
func (w *worker) tidy(most int) {
	for len(w.made[pipelineRuns]) > most && w.going() {
		w.patch(pipelineRuns, w.made[pipelineRuns][0], fields{"metadata": fields{"finalizers": nil}})
		w.atMost(pipelineRuns, len(w.made[pipelineRuns])-1)
	}
}

// starts: case T8.
func starts(w *worker) {
	repository := w.queue(1)
	for w.going() {
		names := w.fill(repository, 2)
		late := w.name("late") // PAC has not written its order
		run := w.run(late, repository)
		delete(annotationsOf(run), ofPAC+"execution-order")
		if w.create(pipelineRuns, run) {
			names = append([]string{late}, names...)
		}
		for _, name := range names {
			w.patch(pipelineRuns, name, setStatus(nil))
			w.patch(pipelineRuns, name, setStatus(""))
			w.patch(pipelineRuns, name, setStatus("Running"))
			if w.random.IntN(4) == 0 {
				w.patch(pipelineRuns, name, setStatus(cancelled))
				w.patch(pipelineRuns, name, setStatus(nil))
			}
			w.patchIn(w.namespace, pipelineRuns, name, fields{"status": fields{"startTime": "2026-01-01T00:00:00Z"}}, "status")
		}
		w.atMost(pipelineRuns, stockOfRuns)
	}
}

// finally: case P2.
func finally(w *worker) {
	repository := w.queue(1)
	for w.going() {
		names := w.fill(repository, 6)
		for _, name := range names {
			w.patch(pipelineRuns, name, setStatus([]string{cancelledRunFinally, stoppedRunFinally, cancelled}[w.random.IntN(3)]))
		}
		for _, name := range names {
			w.patch(pipelineRuns, name, setStatus([]string{cancelledRunFinally, stoppedRunFinally, cancelled}[w.random.IntN(3)]))
		}
		w.atMost(pipelineRuns, stockOfRuns)
	}
}

// copies: cases P3 and P4.
func copies(w *worker) {
	repository := w.queue(1)
	for w.going() {
		for _, name := range w.fill(repository, 3) {
			if w.random.IntN(3) == 0 {
				w.patch(pipelineRuns, name, setStatus(cancelled))
			}
		}
		for range 4 {
			original := w.get(pipelineRuns, w.any(pipelineRuns))
			if original == nil {
				continue
			}
			again := original.DeepCopy()
			unstructured.RemoveNestedField(again.Object, "status")
			for _, field := range []string{
				"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences",
			} {
				unstructured.RemoveNestedField(again.Object, "metadata", field)
			}
			again.SetName(w.name("again"))
			switch w.random.IntN(4) {
			case 0:
				unstructured.RemoveNestedField(again.Object, "spec", "status")
			case 1:
				again.SetLabels(map[string]string{
					managedBy: "pipelinesascode.tekton.dev", ofPAC + "repository": repository, ofPAC + "state": completed,
				})
			case 2:
				notes := again.GetAnnotations()
				notes[ofPAC+"state"] = completed
				again.SetAnnotations(notes)
			}
			w.create(pipelineRuns, again.Object)
		}
		w.atMost(pipelineRuns, stockOfRuns)
	}
}

// flood: many of everything.
func flood(w *worker) {
	limits := []any{nil, int64(0), int64(1), int64(2), int64(1_000_000_000), int64(-1)}
	for w.going() {
		if len(w.made[repositories]) < stockOfRuns {
			w.repository(w.name("many"), limits[w.random.IntN(len(limits))])
		}
		repository := w.any(repositories)
		if repository == "" {
			continue
		}
		w.fill(repository, 3)
		switch w.random.IntN(6) {
		case 0, 1:
			w.patch(repositories, repository, fields{"spec": fields{"concurrency_limit": limits[w.random.IntN(len(limits))]}})
		case 2:
			w.delete(pipelineRuns, w.any(pipelineRuns))
		case 3:
			w.patch(pipelineRuns, w.any(pipelineRuns), setStatus(cancelled))
		case 4:
			w.delete(repositories, repository)
			w.repository(repository, int64(1))
		}
		w.atMost(pipelineRuns, w.stock(stockOfFlood))
		w.atMost(repositories, stockOfRuns)
	}
}

// strays: what should be of no consequence.
func strays(w *worker) {
	repository := w.queue(1)
	for w.going() {
		names := w.fill(repository, 1)
		if len(names) == 0 {
			continue
		}
		about := fields{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "namespace": w.namespace, "name": names[0]}
		w.create(events, fields{
			"apiVersion": "v1", "kind": "Event", "metadata": fields{"name": w.name("event")}, "involvedObject": about,
			"type": "Warning", "reason": "SlotAcquired", "message": "\x1b[2J" + strings.Repeat("!", 900),
			"source": fields{"component": theAddOn},
		})
		for _, name := range []string{theAddOn + "-config", "pipelines-as-code", w.name("settings")} {
			w.create(configMaps, fields{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": fields{"name": name},
				"data": fields{"hand-back": "true", "backend": "memory", "enable-cancel-in-progress-on-push": "true"},
			})
		}
		w.create(leases, fields{
			"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
			"metadata": fields{"name": w.name(theAddOn), "labels": fields{managedBy: theAddOn, ofOurs + "slot": "0"}},
			"spec":     fields{"holderIdentity": "nobody"},
		})
		// Nothing of this is the tenant's own.
		w.patchIn(residentNamespace(0), repositories, residentName, fields{"spec": fields{"concurrency_limit": int64(9)}})
		w.patchIn(residentNamespace(0), leases, residentName+".slot-0", fields{"spec": fields{"holderIdentity": "nobody"}})
		w.createIn(residentNamespace(0), pipelineRuns, w.run(w.name("trespass"), residentName))
		w.patchIn(theAddOn, configMaps, theAddOn+"-config", fields{"data": fields{"hand-back": "true"}})
		w.atMost(pipelineRuns, stockOfRuns)
		w.atMost(events, stockOfRuns)
		w.atMost(leases, stockOfRuns)
	}
}
