locals {
  config = join("", [
    yamlencode({
      kind       = "Cluster"
      apiVersion = "kind.x-k8s.io/v1alpha4"
      nodes = [{
        role = "control-plane"
        extraPortMappings = [for node, host in var.ports : {
          containerPort = tonumber(node)
          hostPort      = host
          listenAddress = "127.0.0.1"
        }]
      }]
    }),
    var.config_patches,
  ])
}

# The claim is in the state before anything is created, so destroy cleans up whatever became of the
# rest. If the name is taken, the claim is tainted, and the destroy provisioners of a tainted
# resource do not run: a cluster that this state did not create is safe.
resource "terraform_data" "claim" {
  input = {
    name       = var.name
    kubeconfig = var.kubeconfig
  }
  triggers_replace = [var.name, var.kubeconfig, var.node_image, local.config]

  provisioner "local-exec" {
    command     = "${path.module}/check.sh"
    environment = { NAME = self.input.name }
    quiet       = true
  }

  provisioner "local-exec" {
    when    = destroy
    command = "${path.module}/delete.sh"
    environment = {
      NAME       = self.input.name
      KUBECONFIG = self.input.kubeconfig
    }
    quiet = true
  }
}

resource "terraform_data" "cluster" {
  input            = terraform_data.claim.output
  triggers_replace = [terraform_data.claim.id]

  provisioner "local-exec" {
    command = "${path.module}/create.sh"
    environment = {
      NAME       = self.input.name
      KUBECONFIG = self.input.kubeconfig
      IMAGE      = var.node_image
      CONFIG     = local.config
      DEADLINE   = var.deadline
    }
    quiet = true
  }
}

resource "terraform_data" "image" {
  for_each         = toset(var.image_archives)
  triggers_replace = [terraform_data.cluster.id]

  provisioner "local-exec" {
    command     = "kind load image-archive --name \"$NAME\" \"$ARCHIVE\""
    environment = { NAME = terraform_data.cluster.output.name, ARCHIVE = each.value }
    quiet       = true
  }
}
