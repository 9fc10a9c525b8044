# The plan that results from the variables.

run "a_cluster_of_our_own" {
  command = plan

  assert {
    condition     = length(module.kind_cluster) == 1 && length(terraform_data.existing_cluster) == 0
    error_message = "There should be a kind cluster."
  }
  assert {
    condition     = length(module.gitea) == 1 && length(module.pac_lease_queue) == 1
    error_message = "There should be Gitea and the add-on."
  }
  assert {
    condition     = output.gitea_url == "http://127.0.0.1:3000"
    error_message = "Gitea should be reached on loopback, not at ${output.gitea_url}."
  }
}

run "an_existing_cluster" {
  command = plan
  variables {
    existing_kubeconfig = "/home/me/.kube/config"
  }

  assert {
    condition     = length(module.kind_cluster) == 0 && length(terraform_data.existing_cluster) == 1
    error_message = "There should be no kind cluster."
  }
  assert {
    condition     = output.kubeconfig == "/home/me/.kube/config" && output.gitea_url == ""
    error_message = "No port of an existing cluster's nodes is taken."
  }
}

run "without_the_addon" {
  command = plan
  variables {
    replicas = 0
  }

  assert {
    condition     = length(module.pac_lease_queue) == 0 && output.addon_namespace == ""
    error_message = "Without replicas the add-on should not be installed."
  }
}

run "another_git_provider" {
  command = plan
  variables {
    git_provider = "external"
  }

  assert {
    condition     = length(module.gitea) == 0 && output.gitea_url == "" && output.gitea_username == ""
    error_message = "There should be no Gitea."
  }
}

run "no_port_for_gitea" {
  command = plan
  variables {
    gitea_port = 0
  }

  assert {
    condition     = length(module.gitea) == 1 && output.gitea_url == ""
    error_message = "Gitea should be there without a port of this machine."
  }
}

run "built" {
  command = plan
  variables {
    images                      = "built"
    image_archives              = ["/archives/step-1.image.tar", "/archives/gitea-1.image.tar"]
    tekton_manifests            = "/manifests/tekton.yaml"
    pipelines_as_code_manifests = "/manifests/pipelines-as-code.yaml"
    gitea_image                 = "kind.local/gitea:1"
    addon_image                 = "kind.local/pac-lease-queue:1"
    watchers                    = 2
  }
}
