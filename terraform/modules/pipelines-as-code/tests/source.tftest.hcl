variables {
  cluster = { id = "1", kubeconfig = "/tmp/kubeconfig" }
}

run "release" {
  command = plan

  assert {
    condition     = local.source == "https://github.com/openshift-pipelines/pipelines-as-code/releases/download/v0.50.0/release.k8s.yaml"
    error_message = "The module would install ${local.source}"
  }
}

run "a_release_has_one_watcher" {
  command         = plan
  expect_failures = [var.watchers]
  variables {
    watchers = 2
  }
}

run "our_manifests_have_several" {
  command = plan
  variables {
    manifests = "/manifests/pipelines-as-code.yaml"
    watchers  = 3
  }

  assert {
    condition     = local.source == "/manifests/pipelines-as-code.yaml"
    error_message = "The module would install ${local.source}"
  }
}

run "not_a_release" {
  command         = plan
  expect_failures = [var.release]
  variables {
    release = "0.50.0"
  }
}
