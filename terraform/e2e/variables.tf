variable "cluster_name" {
  description = "Name of the kind cluster to create."
  type        = string
  default     = "pac-lease-queue"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$", var.cluster_name))
    error_message = "cluster_name becomes part of host names: use up to 50 lower-case letters, digits and dashes, with a letter or digit at both ends."
  }
}

variable "existing_kubeconfig" {
  description = "Absolute path of the kubeconfig of an existing cluster, to install everything there. If empty, a kind cluster is created."
  type        = string
  default     = ""

  validation {
    condition     = var.existing_kubeconfig == "" || startswith(var.existing_kubeconfig, "/")
    error_message = "existing_kubeconfig must be an absolute path, so that destroy finds it from any folder."
  }
}

variable "kubeconfig" {
  description = "File to write the kind cluster's kubeconfig to. Default: CLUSTER_NAME.kubeconfig in this folder."
  type        = string
  default     = ""

  validation {
    condition     = var.kubeconfig == "" || startswith(var.kubeconfig, "/")
    error_message = "kubeconfig must be an absolute path."
  }
}

variable "node_image" {
  description = "Image of kind's node. Default: kindest/node in kubernetes_version, or kind's own default."
  type        = string
  default     = ""
}

variable "kubernetes_version" {
  description = "Kubernetes version of the kind cluster, e.g. 1.36.4. Default: that of node_image, or kind's own default."
  type        = string
  default     = ""

  validation {
    condition     = var.kubernetes_version == "" || can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.kubernetes_version))
    error_message = "Write kubernetes_version with three numbers and no v: 1.36.4."
  }
  validation {
    condition     = var.kubernetes_version == "" || var.node_image == ""
    error_message = "node_image already determines the Kubernetes version: set either kubernetes_version or node_image."
  }
}

variable "kind_config_patches" {
  description = "YAML that is appended to kind's cluster configuration, e.g. containerdConfigPatches and kubeadmConfigPatches."
  type        = string
  default     = ""
}

variable "images" {
  description = "\"built\": locally built images, from image_archives and under the names in the manifests. \"published\": the images and manifests of the components' releases."
  type        = string
  default     = "published"

  validation {
    condition     = contains(["built", "published"], var.images)
    error_message = "images must be built or published."
  }
  validation {
    condition = var.images == "published" || alltrue([
      for given in [var.tekton_manifests, var.pipelines_as_code_manifests, var.gitea_image, var.addon_image] : given != ""
    ])
    error_message = "With images = \"built\", tekton_manifests, pipelines_as_code_manifests, gitea_image and addon_image must name what was built; \"go run ./e2e/suite/kind/cmd/kit prepare\" builds it and writes a file with these variables."
  }
}

variable "image_archives" {
  description = "Archives of container images to load into the kind cluster. An existing cluster must have the images already, or be able to pull them."
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
  description = "Number of Pipelines-as-Code watchers: 0 to 10, or 0 to 1 with a release. Two or more share the work, each with a bucket of its own."
  type        = number
  default     = 1

  validation {
    condition     = contains(range(11), var.watchers)
    error_message = "watchers must be 0 to 10."
  }
}

variable "git_provider" {
  description = "\"gitea\": installed in the cluster. \"external\": none is installed."
  type        = string
  default     = "gitea"

  validation {
    condition     = contains(["gitea", "external"], var.git_provider)
    error_message = "git_provider must be gitea or external."
  }
}

variable "gitea_image" {
  description = "Image of Gitea. Default: the published one."
  type        = string
  default     = ""
}

variable "gitea_port" {
  description = "Port on 127.0.0.1 that leads to Gitea in the kind cluster; 0 means none."
  type        = number
  default     = 3000

  validation {
    condition     = var.gitea_port >= 0 && var.gitea_port < 65536 && floor(var.gitea_port) == var.gitea_port
    error_message = "gitea_port must be 0 to 65535."
  }
}

variable "replicas" {
  description = "Number of replicas of the add-on. With 0 the add-on is not installed, and Pipelines-as-Code keeps its own queue."
  type        = number
  default     = 2

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 20 && floor(var.replicas) == var.replicas
    error_message = "replicas must be 0 to 20."
  }
}

variable "backend" {
  description = "Where the add-on keeps slots: lease or memory. memory needs replicas = 1."
  type        = string
  default     = "lease"

  validation {
    condition     = contains(["lease", "memory"], var.backend)
    error_message = "backend must be lease or memory."
  }
  validation {
    condition     = var.backend != "memory" || var.replicas <= 1
    error_message = "The backend memory works with one replica only: set replicas to 1, or backend to lease."
  }
}

variable "hold" {
  description = "How the add-on holds runs: auto, policy (Kubernetes 1.36 and later), webhook or none."
  type        = string
  default     = "auto"

  validation {
    condition     = contains(["auto", "policy", "webhook", "none"], var.hold)
    error_message = "hold must be auto, policy, webhook or none."
  }
}

variable "chart" {
  description = "Folder of the add-on's chart. Default: the one in this repository."
  type        = string
  default     = ""
}

variable "chart_values" {
  description = "More values for the chart. replicas, backend, hold and addon_image take precedence."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.chart_values))
    error_message = "chart_values must be a map, as in values.yaml: { logLevel = \"debug\" }."
  }
}

variable "addon_image" {
  description = "Image of the add-on, with a tag. Default: the image that the chart names."
  type        = string
  default     = ""
}

variable "deadline" {
  description = "Seconds that each part may take to become ready, and to be removed."
  type        = number
  default     = 300

  validation {
    condition     = var.deadline >= 1 && floor(var.deadline) == var.deadline
    error_message = "deadline must be a whole number of seconds, at least 1."
  }
}
