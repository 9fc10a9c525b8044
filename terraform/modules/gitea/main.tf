locals {
  namespace = "gitea"
  service   = "gitea"
  port      = 3000
  url       = "http://${local.service}.${local.namespace}.svc:${local.port}"

  # Random, and stable from one apply to the next.
  secret = { for name in ["password", "secret_key", "internal_token"] : name => sha256("${name} ${terraform_data.seed.id}") }
}

resource "terraform_data" "seed" {
  triggers_replace = [var.cluster.id]
}

module "manifests" {
  source = "../manifests"

  cluster    = var.cluster
  optional   = true
  title      = "Gitea"
  namespaces = [local.namespace]
  deadline   = var.deadline
  yaml = templatefile("${path.module}/gitea.yaml", {
    namespace = local.namespace
    service   = local.service
    port      = local.port
    node_port = var.node_port
    url       = local.url
    image     = var.image != "" ? var.image : "docker.gitea.com/gitea:1.25.4-rootless"
    username  = var.username
    secret    = local.secret
  })
}

resource "terraform_data" "token" {
  triggers_replace = [module.manifests.id]

  provisioner "local-exec" {
    command = "${path.module}/token.sh"
    environment = {
      KUBECONFIG = var.cluster.kubeconfig
      NAMESPACE  = local.namespace
      GITEA_USER = var.username
    }
    quiet = true
  }
}
