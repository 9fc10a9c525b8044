variables {
  cluster = { id = "1", kubeconfig = "/tmp/kubeconfig" }
}

run "address" {
  command = plan

  assert {
    condition     = output.url == "http://gitea.gitea.svc:3000"
    error_message = "Gitea's URL is ${output.url}"
  }
}

run "administrator" {
  command         = plan
  expect_failures = [var.username]
  variables {
    username = "admin"
  }
}

run "node_port" {
  command         = plan
  expect_failures = [var.node_port]
  variables {
    node_port = 3000
  }
}
