locals {
  # The content behind a URL is identified by the version in the URL.
  content = sha256(var.yaml != "" ? var.yaml : try(
    filesha256(var.source_of),
    join("", [for f in sort(fileset(var.source_of, "*.yaml")) : filesha256("${var.source_of}/${f}")]),
    "",
  ))
}

# The claim is in the state before anything is created, so destroy cleans up whatever became of the
# rest. If the same was installed by other means before, the claim is tainted, and the destroy
# provisioners of a tainted resource do not run.
resource "terraform_data" "claim" {
  input = {
    kubeconfig = var.cluster.kubeconfig
    namespaces = join(" ", var.namespaces)
    selector   = var.selector
    deadline   = var.deadline
    title      = var.title
    disposable = var.cluster.disposable
    # Nothing has to be removed from a cluster that is deleted by the same state.
    with_cluster = var.cluster.disposable && !var.optional
    first        = var.delete_first
    after        = var.after_claim
  }
  triggers_replace = [var.cluster.id]

  provisioner "local-exec" {
    command = "${path.module}/check.sh"
    environment = {
      KUBECONFIG = self.input.kubeconfig
      NAMESPACES = self.input.namespaces
      TITLE      = self.input.title
    }
    quiet = true
  }

  provisioner "local-exec" {
    when    = destroy
    command = "${path.module}/remove.sh"
    environment = {
      KUBECONFIG   = self.input.kubeconfig
      NAMESPACES   = self.input.namespaces
      SELECTOR     = self.input.selector
      DEADLINE     = self.input.deadline
      TITLE        = self.input.title
      DISPOSABLE   = self.input.disposable
      WITH_CLUSTER = self.input.with_cluster
      FIRST        = self.input.first
    }
    quiet = true
  }
}

resource "terraform_data" "applied" {
  input            = var.after
  triggers_replace = [terraform_data.claim.id, var.source_of, local.content]

  provisioner "local-exec" {
    command = "${path.module}/apply.sh"
    environment = {
      KUBECONFIG = var.cluster.kubeconfig
      SOURCE     = var.source_of
      YAML       = var.yaml
      NAMESPACES = join(" ", var.namespaces)
      DEADLINE   = var.deadline
      PROBE      = var.probe
    }
    quiet = true
  }
}
