variable "cluster" {
  description = "The cluster: its kubeconfig, an id that changes when it is replaced, and disposable: whether the same state creates and deletes it, so that nothing has to be removed from it."
  type        = object({ id = string, kubeconfig = string, disposable = optional(bool, false) })
}

variable "release" {
  description = "Version of Tekton Pipelines to install if manifests is empty."
  type        = string
  default     = "v1.15.0"

  validation {
    condition     = can(regex("^v[0-9]+\\.[0-9]+\\.[0-9]+$", var.release))
    error_message = "Write the version as in Tekton's releases: v1.15.0."
  }
}

variable "manifests" {
  description = "Manifests to install instead of a release: a file, a folder or a URL."
  type        = string
  default     = ""
}

variable "deadline" {
  description = "Seconds that Tekton may take to become ready, and to be removed."
  type        = number
  default     = 300
}
