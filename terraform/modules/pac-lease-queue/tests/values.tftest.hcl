variables {
  cluster = { id = "1", kubeconfig = "/tmp/kubeconfig" }
  chart   = "../../../charts/pac-lease-queue"
}

run "values" {
  command = plan
  variables {
    replicas = 3
    hold     = "webhook"
    image    = "registry.example.com:5000/pac-lease-queue:v1"
  }

  assert {
    condition = jsondecode(local.values) == {
      replicaCount = 3
      concurrency  = { backend = "lease" }
      admission    = { hold = "webhook" }
      image        = { repository = "registry.example.com:5000/pac-lease-queue", tag = "v1" }
    }
    error_message = "The chart's values are ${local.values}"
  }
  assert {
    condition     = local.chart_content != sha256("")
    error_message = "A changed chart should cause an upgrade, so its files should identify it."
  }
}

run "a_cluster_that_goes_too" {
  command = plan
  variables {
    cluster = { id = "1", kubeconfig = "/tmp/kubeconfig", disposable = true }
  }

  assert {
    condition     = terraform_data.claim.input.disposable
    error_message = "Destroy should know: a disposable cluster that does not answer counts as gone."
  }
}

run "image_of_the_chart" {
  command = plan

  assert {
    condition     = !contains(keys(jsondecode(local.values)), "image")
    error_message = "The chart's values are ${local.values}"
  }
}

run "image_without_tag" {
  command         = plan
  expect_failures = [var.image]
  variables {
    image = "registry.example.com:5000/pac-lease-queue"
  }
}

run "replicas" {
  command         = plan
  expect_failures = [var.replicas]
  variables {
    replicas = 0
  }
}

run "backend" {
  command         = plan
  expect_failures = [var.backend]
  variables {
    backend = "etcd"
  }
}

run "memory_of_two_replicas" {
  command         = plan
  expect_failures = [var.backend]
  variables {
    backend  = "memory"
    replicas = 2
  }
}

run "hold" {
  command         = plan
  expect_failures = [var.hold]
  variables {
    hold = "off"
  }
}

run "values_that_are_no_map" {
  command         = plan
  expect_failures = [var.values]
  variables {
    values = ["logLevel=debug"]
  }
}
