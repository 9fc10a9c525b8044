package pac

import (
	"encoding/json"
	"maps"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// packs are the annotations of which a trimmed run keeps several as one text: an entry of a map
// costs more than most of them are long, and a map of more than eight entries four times as much as
// one of eight. No client can set the annotation that names a pack, since it is not among those
// that are copied. Those that an index or a handler of the informer reads are in no pack.
const packOfTexts, packOfOrigin = prefix + "texts", prefix + "origin"

var packs = map[string][]string{
	packOfTexts: waiting,
	packOfOrigin: {
		keys.OriginalPRName, keys.EventType, keys.PullRequest, keys.SourceBranch, keys.CancelInProgress,
		keys.GitProvider, keys.InstallationID, keys.Sender, keys.Branch, Priority,
	},
}

// packed returns the annotations with those of each pack in one text. It changes the map.
func packed(annotations map[string]string) map[string]string {
	for pack, members := range packs {
		values, some := make([]*string, len(members)), false
		for i, key := range members {
			if value, present := annotations[key]; present {
				values[i], some = &value, true
				delete(annotations, key)
			}
		}
		if !some {
			continue
		}
		text, err := json.Marshal(values)
		if err != nil {
			panic(err) // strings always marshal
		}
		annotations[pack] = string(text)
	}
	// A map never shrinks.
	small := make(map[string]string, len(annotations))
	maps.Copy(small, annotations)
	return small
}

// unpacked returns the annotations of a run, each by itself. In a run that is not trimmed, what is
// called like a pack is something that a user wrote.
func unpacked(pr *tektonv1.PipelineRun) map[string]string {
	annotations := maps.Clone(pr.Annotations)
	if pr.Kind != trimmedKind && pr.Kind != stubKind {
		return annotations
	}
	for pack, members := range packs {
		text, present := annotations[pack]
		if !present {
			continue
		}
		delete(annotations, pack)
		var values []*string
		if err := json.Unmarshal([]byte(text), &values); err != nil || len(values) != len(members) {
			panic("not a pack: " + text) // only packed writes one
		}
		for i, value := range values {
			if value != nil {
				annotations[members[i]] = *value
			}
		}
	}
	return annotations
}
