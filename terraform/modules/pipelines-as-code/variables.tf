variable "cluster" {
  description = "The cluster: its kubeconfig, an id that changes when it is replaced, and whether it is made and deleted along with this, so that nothing has to be removed from it."
  type        = object({ id = string, kubeconfig = string, disposable = optional(bool, false) })
}

variable "after" {
  description = "Id of what must be installed before this is."
  type        = string
  default     = ""
}

variable "after_claim" {
  description = "Claim of what must be installed before this is, and removed after it."
  type        = string
  default     = ""
}

variable "release" {
  description = "Version of Pipelines-as-Code to install, if no manifests are given."
  type        = string
  default     = "v0.50.0"

  validation {
    condition     = can(regex("^v[0-9]+\\.[0-9]+\\.[0-9]+$", var.release))
    error_message = "Write the version of Pipelines-as-Code as its releases do: v0.50.0."
  }
}

variable "manifests" {
  description = "Manifests to install instead of a release: a file, a folder or a URL."
  type        = string
  default     = ""
}

variable "watchers" {
  description = "How many watchers run. One is the Deployment that Pipelines-as-Code ships. Several share the work, each with a bucket of its own, as the pods of a StatefulSet, which only the manifests of this repository have."
  type        = number
  default     = 1

  validation {
    condition     = contains([0, 1], var.watchers) || (var.watchers > 1 && var.watchers <= 10 && floor(var.watchers) == var.watchers && var.manifests != "")
    error_message = "Use 0 to 10 watchers, and of a release not more than 1: it has no StatefulSet of them."
  }
}

variable "deadline" {
  description = "Seconds that Pipelines-as-Code may take to get ready, and to be removed."
  type        = number
  default     = 300
}
