locals {
  own        = var.existing_kubeconfig == ""
  kubeconfig = var.kubeconfig != "" ? var.kubeconfig : "${abspath(path.root)}/${var.cluster_name}.kubeconfig"
  cluster = local.own ? {
    id         = module.kind_cluster[0].id
    kubeconfig = module.kind_cluster[0].kubeconfig
    disposable = true
    } : {
    id         = terraform_data.existing_cluster[0].id
    kubeconfig = var.existing_kubeconfig
    disposable = false
  }
  # The port of the node that leads to Gitea. It is opened even without Gitea, because a cluster's
  # ports cannot change. On an existing cluster no port is opened.
  node_port = local.own && var.gitea_port != 0 ? 30300 : 0
}

# Missing tools are reported before anything is created.
resource "terraform_data" "tools" {
  triggers_replace = [local.own]

  provisioner "local-exec" {
    command     = "${path.module}/tools.sh"
    environment = { TOOLS = local.own ? "kind kubectl helm" : "kubectl helm" }
    quiet       = true
  }
}

module "kind_cluster" {
  source     = "../modules/kind-cluster"
  count      = local.own ? 1 : 0
  depends_on = [terraform_data.tools]

  name           = var.cluster_name
  kubeconfig     = local.kubeconfig
  node_image     = var.kubernetes_version != "" ? "kindest/node:v${var.kubernetes_version}" : var.node_image
  config_patches = var.kind_config_patches
  ports          = local.node_port == 0 ? {} : { (local.node_port) = var.gitea_port }
  image_archives = var.image_archives
  deadline       = var.deadline
}

resource "terraform_data" "existing_cluster" {
  count            = local.own ? 0 : 1
  triggers_replace = [var.existing_kubeconfig]
  depends_on       = [terraform_data.tools]

  provisioner "local-exec" {
    command     = "kubectl get --raw /readyz >/dev/null || { echo 'The cluster of existing_kubeconfig does not answer.' >&2; exit 1; }"
    environment = { KUBECONFIG = var.existing_kubeconfig }
    quiet       = true
  }
}

module "tekton" {
  source = "../modules/tekton"

  cluster   = local.cluster
  release   = var.tekton_version
  manifests = var.tekton_manifests
  deadline  = var.deadline
}

module "pipelines_as_code" {
  source = "../modules/pipelines-as-code"

  cluster     = local.cluster
  after       = module.tekton.id
  after_claim = module.tekton.claim
  release     = var.pipelines_as_code_version
  manifests   = var.pipelines_as_code_manifests
  watchers    = var.watchers
  deadline    = var.deadline
}

module "gitea" {
  source = "../modules/gitea"
  count  = var.git_provider == "gitea" ? 1 : 0

  cluster   = local.cluster
  image     = var.gitea_image
  node_port = local.node_port
  deadline  = var.deadline
}

module "pac_lease_queue" {
  source = "../modules/pac-lease-queue"
  count  = var.replicas > 0 ? 1 : 0

  cluster     = local.cluster
  after       = module.pipelines_as_code.id
  after_claim = module.pipelines_as_code.claim
  chart       = var.chart != "" ? var.chart : abspath("${path.module}/../../charts/pac-lease-queue")
  image       = var.addon_image
  replicas    = var.replicas
  backend     = var.backend
  hold        = var.hold
  values      = var.chart_values
  deadline    = var.deadline
}
