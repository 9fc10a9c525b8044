package pac

import (
	"encoding/json"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SettingsName is the ConfigMap with the settings of PAC's own controller and of its watcher, in
// PAC's namespace.
const SettingsName = "pipelines-as-code"

// Controllers are what PAC's controllers are set to. Several may share PAC's namespace, each with a
// ConfigMap and a global Repository of its own. The zero value has PAC's defaults.
type Controllers struct {
	// Default are the settings in [SettingsName].
	Default Features
	// Further are those in the ConfigMaps of further controllers, by name.
	Further map[string]Features
	// Unseen says that PAC's settings could not be found. Perhaps it makes no secrets, so no run is
	// kept from starting for long because it has none.
	Unseen bool
}

// of returns the settings that a run goes by: those of the controller that made it. If the run does
// not say which that is, or names a ConfigMap that does not exist or is not read, they are the
// default ones.
//
// The watcher makes the git secrets. It goes by [SettingsName] when it starts, and after a change
// by the ConfigMap of the controller whose run it saw last (pkg/params/run.go, UpdatePacConfig), so
// a run waits for a secret only if neither turns them off.
func (c Controllers) of(o metav1.Object) Features {
	if len(c.Further) == 0 {
		return c.Default
	}
	features, known := c.Further[infoOf(o).ConfigMap]
	if !known {
		return c.Default
	}
	features.NoSecrets = features.NoSecrets || c.Default.NoSecrets
	return features
}

// SettingsOf returns the name of the ConfigMap of the controller that made a run; empty if the run
// does not say.
func SettingsOf(o metav1.Object) string { return infoOf(o).ConfigMap }

// controllerInfo is what a run says of the controller that made it
// (pkg/params/info/controller_info.go).
type controllerInfo struct {
	ConfigMap        string `json:"configmap"`
	GlobalRepository string `json:"gRepo"`
}

func infoOf(o metav1.Object) controllerInfo { return readInfo(o.GetAnnotations()[keys.ControllerInfo]) }

// readInfo is zero for an annotation that is missing or cannot be read.
func readInfo(annotation string) controllerInfo {
	var info controllerInfo
	if json.Unmarshal([]byte(annotation), &info) != nil {
		return controllerInfo{}
	}
	return info
}
