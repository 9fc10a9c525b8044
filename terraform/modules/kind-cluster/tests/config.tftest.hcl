variables {
  name       = "c"
  kubeconfig = "/tmp/c.kubeconfig"
}

run "ports_on_loopback" {
  command = plan
  variables {
    ports = { 30300 = 3000 }
  }

  assert {
    condition = yamldecode(local.config).nodes[0].extraPortMappings == [
      { containerPort = 30300, hostPort = 3000, listenAddress = "127.0.0.1" }
    ]
    error_message = "kind's configuration is ${local.config}"
  }
}

run "patches" {
  command = plan
  variables {
    config_patches = <<-END
      kubeadmConfigPatches:
      - |
        kind: KubeletConfiguration
        failCgroupV1: false
    END
  }

  assert {
    condition     = yamldecode(local.config).kind == "Cluster" && strcontains(yamldecode(local.config).kubeadmConfigPatches[0], "failCgroupV1")
    error_message = "kind's configuration is ${local.config}"
  }
}

run "archives_are_loaded_one_by_one" {
  command = plan
  variables {
    image_archives = ["/a/x.tar", "/a/y.tar"]
  }

  assert {
    condition     = keys(terraform_data.image) == ["/a/x.tar", "/a/y.tar"]
    error_message = "Each archive should be a resource, so that only a new one is loaded."
  }
}

run "name" {
  command         = plan
  expect_failures = [var.name]
  variables {
    name = "-c"
  }
}

run "kubeconfig" {
  command         = plan
  expect_failures = [var.kubeconfig]
  variables {
    kubeconfig = "c.kubeconfig"
  }
}

run "patches_that_are_not_yaml" {
  command         = plan
  expect_failures = [var.config_patches]
  variables {
    config_patches = "- a list"
  }
}

run "patches_of_nodes" {
  command         = plan
  expect_failures = [var.config_patches]
  variables {
    config_patches = "nodes: []"
  }
}

run "port" {
  command         = plan
  expect_failures = [var.ports]
  variables {
    ports = { 30300 = 0 }
  }
}

run "deadline" {
  command         = plan
  expect_failures = [var.deadline]
  variables {
    deadline = 1.5
  }
}
