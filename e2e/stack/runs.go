package stack

import (
	"fmt"
	"strings"
	"time"
)

// RunFiles returns the files of n trivial PipelineRuns in .tekton/, run-01 and so on, which PAC
// creates on a push to main. Each has one task with one step, whose pod takes delay.
func RunFiles(n int, delay time.Duration) map[string]string {
	files := map[string]string{}
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("run-%02d", i)
		files[".tekton/"+name+".yaml"] = RunFile(name, delay)
	}
	return files
}

// RunFile returns the file of one trivial PipelineRun. Each further annotation is "key: value".
func RunFile(name string, delay time.Duration, annotations ...string) string {
	annotations = append(annotations, AnnotationDelay+": "+delay.String())
	return fmt.Sprintf(`apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  name: %s
  annotations:
    pipelinesascode.tekton.dev/on-event: "[push]"
    pipelinesascode.tekton.dev/on-target-branch: "[main]"
    %s
spec:
  pipelineSpec:
    tasks:
    - name: task
      taskSpec:
        steps:
        - name: step
          image: busybox
          command: ["true"]
`, name, strings.Join(annotations, "\n    "))
}
