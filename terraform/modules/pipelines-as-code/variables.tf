variable "cluster" {
  description = "The cluster: its kubeconfig, an id that changes when it is replaced, and disposable: whether the same state creates and deletes it, so that nothing has to be removed from it."
  type        = object({ id = string, kubeconfig = string, disposable = optional(bool, false) })
}

variable "after" {
  description = "Id of the module that must be installed before this one."
  type        = string
  default     = ""
}

variable "after_claim" {
  description = "Claim of the module that must be installed before this one, and removed after it."
  type        = string
  default     = ""
}

variable "release" {
  description = "Version of Pipelines-as-Code to install if manifests is empty."
  type        = string
  default     = "v0.50.0"

  validation {
    condition     = can(regex("^v[0-9]+\\.[0-9]+\\.[0-9]+$", var.release))
    error_message = "Write the version as in the releases of Pipelines-as-Code: v0.50.0."
  }
}

variable "manifests" {
  description = "Manifests to install instead of a release: a file, a folder or a URL."
  type        = string
  default     = ""
}

variable "watchers" {
  description = "Number of watchers. One is the Deployment that Pipelines-as-Code ships. Several are the pods of a StatefulSet, which only the manifests of this repository have; they share the work, each with a bucket of its own."
  type        = number
  default     = 1

  validation {
    condition     = contains([0, 1], var.watchers) || (var.watchers > 1 && var.watchers <= 10 && floor(var.watchers) == var.watchers && var.manifests != "")
    error_message = "Use 0 to 10 watchers, or 0 to 1 with a release, which has no StatefulSet of watchers."
  }
}

variable "deadline" {
  description = "Seconds that Pipelines-as-Code may take to become ready, and to be removed."
  type        = number
  default     = 300
}
