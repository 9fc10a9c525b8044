variables {
  cluster    = { id = "1", kubeconfig = "/tmp/kubeconfig" }
  title      = "T"
  namespaces = ["t"]
}

run "a_folder" {
  command = plan
  variables {
    source_of = "./tests/folder"
  }

  assert {
    condition     = local.content == sha256(filesha256("./tests/folder/one.yaml"))
    error_message = "The content of a folder should identify it."
  }
}

run "a_file" {
  command = plan
  variables {
    source_of = "./tests/folder/one.yaml"
  }

  assert {
    condition     = local.content == sha256(filesha256("./tests/folder/one.yaml")) && local.content != sha256("")
    error_message = "The content of a file should identify it."
  }
}

run "a_url" {
  command = plan
  variables {
    source_of = "https://example.com/v1/release.yaml"
  }

  assert {
    condition     = local.content == sha256("")
    error_message = "The version in a URL should identify it."
  }
}

run "nothing_is_removed_from_a_disposable_cluster" {
  command = plan
  variables {
    cluster = { id = "1", kubeconfig = "/tmp/kubeconfig", disposable = true }
    yaml    = "{}"
  }

  assert {
    condition     = terraform_data.claim.input.disposable && terraform_data.claim.input.with_cluster
    error_message = "Destroy should know that the cluster goes as a whole."
  }
}

run "what_is_optional_is_removed_from_any_cluster" {
  command = plan
  variables {
    cluster  = { id = "1", kubeconfig = "/tmp/kubeconfig", disposable = true }
    optional = true
    yaml     = "{}"
  }

  assert {
    condition     = terraform_data.claim.input.disposable && !terraform_data.claim.input.with_cluster
    error_message = "Destroy should remove it, unless the cluster is gone."
  }
}

run "no_namespace" {
  command         = plan
  expect_failures = [var.namespaces]
  variables {
    namespaces = []
  }
}
