# Variables that cannot work are refused with a message, before anything is created.

variables {
  images = "published"
}

run "defaults" {
  command = plan
}

run "cluster_name" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = "Not_A_Name"
  }
}

run "relative_existing_kubeconfig" {
  command         = plan
  expect_failures = [var.existing_kubeconfig]
  variables {
    existing_kubeconfig = "kubeconfig"
  }
}

run "relative_kubeconfig" {
  command         = plan
  expect_failures = [var.kubeconfig]
  variables {
    kubeconfig = "./kubeconfig"
  }
}

run "kubernetes_version_with_v" {
  command         = plan
  expect_failures = [var.kubernetes_version]
  variables {
    kubernetes_version = "v1.36.4"
  }
}

run "kubernetes_version_and_node_image" {
  command         = plan
  expect_failures = [var.kubernetes_version]
  variables {
    kubernetes_version = "1.36.4"
    node_image         = "kindest/node:v1.36.4"
  }
}

run "unknown_images" {
  command         = plan
  expect_failures = [var.images]
  variables {
    images = "pulled"
  }
}

run "built_images_without_any" {
  command         = plan
  expect_failures = [var.images]
  variables {
    images = "built"
  }
}

run "negative_watchers" {
  command         = plan
  expect_failures = [var.watchers]
  variables {
    watchers = -1
  }
}

run "git_provider" {
  command         = plan
  expect_failures = [var.git_provider]
  variables {
    git_provider = "gitlab"
  }
}

run "gitea_port" {
  command         = plan
  expect_failures = [var.gitea_port]
  variables {
    gitea_port = 70000
  }
}

run "half_a_replica" {
  command         = plan
  expect_failures = [var.replicas]
  variables {
    replicas = 1.5
  }
}

run "backend" {
  command         = plan
  expect_failures = [var.backend]
  variables {
    backend = "redis"
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

run "memory_of_one_replica" {
  command = plan
  variables {
    backend  = "memory"
    replicas = 1
  }
}

run "hold" {
  command         = plan
  expect_failures = [var.hold]
  variables {
    hold = "maybe"
  }
}

run "chart_values" {
  command         = plan
  expect_failures = [var.chart_values]
  variables {
    chart_values = "logLevel: debug"
  }
}

run "deadline" {
  command         = plan
  expect_failures = [var.deadline]
  variables {
    deadline = 0
  }
}
