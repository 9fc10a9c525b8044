locals {
  source = var.manifests != "" ? var.manifests : "https://github.com/openshift-pipelines/pipelines-as-code/releases/download/${var.release}/release.k8s.yaml"
}

module "manifests" {
  source = "../manifests"

  cluster    = var.cluster
  title      = "Pipelines-as-Code"
  source_of  = local.source
  namespaces = ["pipelines-as-code"]
  selector   = "app.kubernetes.io/part-of=pipelines-as-code"
  deadline   = var.deadline

  after       = var.after
  after_claim = var.after_claim
  # The watcher puts a finalizer on its runs.
  delete_first = "pipelineruns --selector app.kubernetes.io/managed-by=pipelinesascode.tekton.dev"

  # Its creation passes the webhook.
  probe = yamlencode({
    apiVersion = "pipelinesascode.tekton.dev/v1alpha1"
    kind       = "Repository"
    metadata   = { name = "probe", namespace = "default" }
    spec       = { url = "https://example.com/owner/probe" }
  })
}

resource "terraform_data" "watchers" {
  triggers_replace = [module.manifests.id, var.watchers]

  provisioner "local-exec" {
    command = "${path.module}/watchers.sh"
    environment = {
      KUBECONFIG = var.cluster.kubeconfig
      WATCHERS   = var.watchers
      DEADLINE   = var.deadline
    }
    quiet = true
  }
}
