package stack

import (
	"fmt"
	"time"
)

// RunFiles returns the .tekton/ folder of n trivial PipelineRuns, run-01 and on, that PAC creates on a push to main. Each has one
// task with one step, whose pod takes delay.
func RunFiles(n int, delay time.Duration) map[string]string {
	files := map[string]string{}
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("run-%02d", i)
		files[".tekton/"+name+".yaml"] = RunFile(name, delay)
	}
	return files
}

// RunFile returns the file of one trivial PipelineRun.
func RunFile(name string, delay time.Duration) string {
	return fmt.Sprintf(`apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  name: %s
  annotations:
    pipelinesascode.tekton.dev/on-event: "[push]"
    pipelinesascode.tekton.dev/on-target-branch: "[main]"
    %s: %s
spec:
  pipelineSpec:
    tasks:
    - name: task
      taskSpec:
        steps:
        - name: step
          image: busybox
          command: ["true"]
`, name, AnnotationDelay, delay)
}
