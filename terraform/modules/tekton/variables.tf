variable "cluster" {
  description = "The cluster: its kubeconfig, an id that changes when it is replaced, and whether it is made and deleted along with this, so that nothing has to be removed from it."
  type        = object({ id = string, kubeconfig = string, disposable = optional(bool, false) })
}

variable "release" {
  description = "Version of Tekton Pipelines to install, if no manifests are given."
  type        = string
  default     = "v1.15.0"

  validation {
    condition     = can(regex("^v[0-9]+\\.[0-9]+\\.[0-9]+$", var.release))
    error_message = "Write Tekton's version as its releases do: v1.15.0."
  }
}

variable "manifests" {
  description = "Manifests to install instead of a release: a file, a folder or a URL."
  type        = string
  default     = ""
}

variable "deadline" {
  description = "Seconds that Tekton may take to get ready, and to be removed."
  type        = number
  default     = 300
}
