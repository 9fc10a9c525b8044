package main

// example is a push by hand. Its words in capitals are replaced.
const example = `  pac() { curl -sS -u USER:PASSWORD -H 'Content-Type: application/json' "$@"; }
  pac GITEA/api/v1/user/repos -d '{"name": "shop", "auto_init": true, "default_branch": "main"}'
  pac GITEA/api/v1/repos/USER/shop/hooks -d '{"type": "gitea", "active": true, "events": ["push"],
    "config": {"url": "EVENTS", "content_type": "json", "secret": "a-secret"}}'
  token=$(kubectl -n gitea get secret gitea-token -o 'jsonpath={.data.token}' | base64 -d)
  kubectl create namespace shop
  kubectl -n shop create secret generic gitea --from-literal=token="$token" --from-literal=webhook=a-secret
  kubectl apply -f - <<END
  apiVersion: pipelinesascode.tekton.dev/v1alpha1
  kind: Repository
  metadata: {name: shop, namespace: shop}
  spec:
    url: IN_CLUSTER/USER/shop
    concurrency_limit: 1
    git_provider:
      type: gitea
      url: IN_CLUSTER
      secret: {name: gitea, key: token}
      webhook_secret: {name: gitea, key: webhook}
  END
  run() { base64 -w 0 <<END
  apiVersion: tekton.dev/v1
  kind: PipelineRun
  metadata:
    name: $1
    annotations:
      pipelinesascode.tekton.dev/on-event: "[push]"
      pipelinesascode.tekton.dev/on-target-branch: "[main]"
  spec:
    pipelineSpec:
      tasks: [{name: work, taskSpec: {steps: [{name: work, image: "STEP", command: [/step], args: [-for, 10s]}]}}]
  END
  }
  file() { echo "{\"operation\": \"create\", \"path\": \".tekton/$1.yaml\", \"content\": \"$(run "$1")\"}"; }
  pac GITEA/api/v1/repos/USER/shop/contents \
    -d "{\"branch\": \"main\", \"message\": \"three runs\", \"files\": [$(file a), $(file b), $(file c)]}"
  kubectl -n shop get pipelineruns --watch
`
