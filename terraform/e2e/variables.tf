variable "cluster_name" {
  description = "Name of the kind cluster to make."
  type        = string
  default     = "pac-lease-queue"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$", var.cluster_name))
    error_message = "cluster_name becomes part of host names: use up to 50 lower-case letters, digits and dashes, with a letter or digit at both ends."
  }
}

variable "existing_kubeconfig" {
  description = "Kubeconfig of a cluster that is there already, to install everything in. Empty means that a kind cluster is made."
  type        = string
  default     = ""

  validation {
    condition     = var.existing_kubeconfig == "" || startswith(var.existing_kubeconfig, "/")
    error_message = "existing_kubeconfig must be an absolute path, so that destroy finds it from any folder."
  }
}

variable "kubeconfig" {
  description = "Where to write the kubeconfig of the kind cluster. Empty means CLUSTER_NAME.kubeconfig in this folder."
  type        = string
  default     = ""

  validation {
    condition     = var.kubeconfig == "" || startswith(var.kubeconfig, "/")
    error_message = "kubeconfig must be an absolute path."
  }
}

variable "node_image" {
  description = "Image of kind's node. Empty means kindest/node of kubernetes_version, or what kind was made for."
  type        = string
  default     = ""
}

variable "kubernetes_version" {
  description = "Version of Kubernetes for kind to run, e.g. 1.36.4. Empty means that of node_image, or what kind was made for."
  type        = string
  default     = ""

  validation {
    condition     = var.kubernetes_version == "" || can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.kubernetes_version))
    error_message = "Write kubernetes_version with three numbers and no v: 1.36.4."
  }
  validation {
    condition     = var.kubernetes_version == "" || var.node_image == ""
    error_message = "node_image says which Kubernetes it runs: leave kubernetes_version empty, or node_image."
  }
}

variable "kind_config_patches" {
  description = "YAML that is appended to kind's cluster configuration, e.g. containerdConfigPatches and kubeadmConfigPatches."
  type        = string
  default     = ""
}

variable "images" {
  description = "\"built\": images made here, from image_archives and under the names that the manifests have. \"published\": images and manifests of the components' releases."
  type        = string
  default     = "published"

  validation {
    condition     = contains(["built", "published"], var.images)
    error_message = "images is built or published."
  }
  validation {
    condition = var.images == "published" || alltrue([
      for given in [var.tekton_manifests, var.pipelines_as_code_manifests, var.gitea_image, var.addon_image] : given != ""
    ])
    error_message = "With images = \"built\", tekton_manifests, pipelines_as_code_manifests, gitea_image and addon_image must say what was built; \"go run ./e2e/suite/kind/cmd/kit prepare\" builds it and writes a file of these variables."
  }
}

variable "image_archives" {
  description = "Archives of container images to load into the kind cluster. In an existing cluster the images must be there, or in a registry that it can reach."
  type        = list(string)
  default     = []
}

variable "tekton_version" {
  description = "Release of Tekton Pipelines, for images = \"published\"."
  type        = string
  default     = "v1.15.0"
}

variable "tekton_manifests" {
  description = "Manifests of Tekton Pipelines to use instead of the release's: a file, a folder or a URL."
  type        = string
  default     = ""
}

variable "pipelines_as_code_version" {
  description = "Release of Pipelines-as-Code, for images = \"published\"."
  type        = string
  default     = "v0.50.0"
}

variable "pipelines_as_code_manifests" {
  description = "Manifests of Pipelines-as-Code to use instead of the release's: a file, a folder or a URL."
  type        = string
  default     = ""
}

variable "watchers" {
  description = "How many watchers of Pipelines-as-Code run: 0 to 10, of a release 0 or 1. Two or more share the work, each with a bucket of its own."
  type        = number
  default     = 1

  validation {
    condition     = contains(range(11), var.watchers)
    error_message = "watchers is 0 to 10."
  }
}

variable "git_provider" {
  description = "\"gitea\": in the cluster. \"external\": somewhere else, none is installed."
  type        = string
  default     = "gitea"

  validation {
    condition     = contains(["gitea", "external"], var.git_provider)
    error_message = "git_provider is gitea or external."
  }
}

variable "gitea_image" {
  description = "Image of Gitea. Empty means the published one."
  type        = string
  default     = ""
}

variable "gitea_port" {
  description = "Port on 127.0.0.1 that leads to Gitea in the kind cluster; 0 means none."
  type        = number
  default     = 3000

  validation {
    condition     = var.gitea_port >= 0 && var.gitea_port < 65536 && floor(var.gitea_port) == var.gitea_port
    error_message = "gitea_port is 0 to 65535."
  }
}

variable "replicas" {
  description = "Replicas of the add-on. 0 means without the add-on: Pipelines-as-Code keeps its own queue."
  type        = number
  default     = 2

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 20 && floor(var.replicas) == var.replicas
    error_message = "replicas is 0 to 20."
  }
}

variable "backend" {
  description = "Where the add-on keeps slots: lease or memory. Memory is that of one replica."
  type        = string
  default     = "lease"

  validation {
    condition     = contains(["lease", "memory"], var.backend)
    error_message = "backend is lease or memory."
  }
  validation {
    condition     = var.backend != "memory" || var.replicas <= 1
    error_message = "The backend memory is that of one replica: set replicas to 1, or backend to lease."
  }
}

variable "hold" {
  description = "How the add-on holds runs: auto, policy (Kubernetes 1.36 and later), webhook or none."
  type        = string
  default     = "auto"

  validation {
    condition     = contains(["auto", "policy", "webhook", "none"], var.hold)
    error_message = "hold is auto, policy, webhook or none."
  }
}

variable "chart" {
  description = "The add-on's chart. Empty means the one of this repository."
  type        = string
  default     = ""
}

variable "chart_values" {
  description = "More values of the chart. What replicas, backend, hold and addon_image say, wins."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.chart_values))
    error_message = "chart_values is a map, as in values.yaml: { logLevel = \"debug\" }."
  }
}

variable "addon_image" {
  description = "Image of the add-on, with a tag. Empty means the one that the chart names."
  type        = string
  default     = ""
}

variable "deadline" {
  description = "Seconds that each part may take to get ready, and to be removed."
  type        = number
  default     = 300

  validation {
    condition     = var.deadline >= 1 && floor(var.deadline) == var.deadline
    error_message = "deadline is a whole number of seconds."
  }
}
