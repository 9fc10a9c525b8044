locals {
  release = "pac-lease-queue"
  colon   = try(regex("^(.*):([^:/]+)$", var.image), ["", ""])
  values = jsonencode(merge(
    {
      replicaCount = var.replicas
      concurrency  = { backend = var.backend }
      admission    = { hold = var.hold }
    },
    var.image == "" ? {} : { image = { repository = local.colon[0], tag = local.colon[1] } },
  ))
  chart_content = sha256(join("", [
    for f in sort(fileset(var.chart, "**")) : filesha256("${var.chart}/${f}")
  ]))
}

# The claim is in the state before anything is installed, so destroy cleans up whatever became of
# the rest. If such a release exists already, the claim is tainted, and the destroy provisioners of
# a tainted resource do not run.
resource "terraform_data" "claim" {
  input = {
    kubeconfig = var.cluster.kubeconfig
    disposable = var.cluster.disposable
    release    = local.release
    deadline   = var.deadline
    after      = var.after_claim
  }
  triggers_replace = [var.cluster.id, local.release]

  provisioner "local-exec" {
    command     = "${path.module}/check.sh"
    environment = { KUBECONFIG = self.input.kubeconfig, RELEASE = self.input.release }
    quiet       = true
  }

  provisioner "local-exec" {
    when    = destroy
    command = "${path.module}/uninstall.sh"
    environment = {
      KUBECONFIG = self.input.kubeconfig
      DISPOSABLE = self.input.disposable
      RELEASE    = self.input.release
      DEADLINE   = self.input.deadline
    }
    quiet = true
  }
}

resource "terraform_data" "upgrade" {
  input            = var.after
  triggers_replace = [terraform_data.claim.id, local.values, jsonencode(var.values), local.chart_content]

  provisioner "local-exec" {
    command = "${path.module}/upgrade.sh"
    environment = {
      KUBECONFIG  = var.cluster.kubeconfig
      RELEASE     = local.release
      CHART       = var.chart
      MORE_VALUES = jsonencode(var.values)
      VALUES      = local.values
      DEADLINE    = var.deadline
    }
    quiet = true
  }
}
