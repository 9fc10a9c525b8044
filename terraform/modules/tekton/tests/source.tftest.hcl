variables {
  cluster = { id = "1", kubeconfig = "/tmp/kubeconfig" }
}

run "release" {
  command = plan
  variables {
    release = "v1.14.0"
  }

  assert {
    condition     = local.source == "https://infra.tekton.dev/tekton-releases/pipeline/previous/v1.14.0/release.yaml"
    error_message = "The module would install ${local.source}"
  }
}

run "manifests" {
  command = plan
  variables {
    manifests = "/manifests/tekton.yaml"
  }

  assert {
    condition     = local.source == "/manifests/tekton.yaml"
    error_message = "The module would install ${local.source}"
  }
}

run "not_a_release" {
  command         = plan
  expect_failures = [var.release]
  variables {
    release = "latest"
  }
}
