locals {
  source = var.manifests != "" ? var.manifests : "https://infra.tekton.dev/tekton-releases/pipeline/previous/${var.release}/release.yaml"
}

module "manifests" {
  source = "../manifests"

  cluster    = var.cluster
  title      = "Tekton"
  source_of  = local.source
  namespaces = var.manifests != "" ? ["tekton-pipelines"] : ["tekton-pipelines", "tekton-pipelines-resolvers"]
  selector   = "app.kubernetes.io/part-of in (tekton-pipelines, tekton-pipelines-resolvers)"
  deadline   = var.deadline

  # Its creation passes the conversion between API versions and the defaulting.
  probe = yamlencode({
    apiVersion = "tekton.dev/v1beta1"
    kind       = "PipelineRun"
    metadata   = { name = "probe", namespace = "default" }
    spec       = { pipelineSpec = { tasks = [{ name = "t", taskSpec = { steps = [{ name = "s", image = "i" }] } }] } }
  })
}
