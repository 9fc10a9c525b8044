variable "cluster" {
  description = "The cluster: its kubeconfig, an id that changes when it is replaced, and disposable: whether the same state creates and deletes it."
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

variable "optional" {
  description = "Whether this may be removed from a cluster that stays, even from a disposable one."
  type        = bool
  default     = false
}

variable "title" {
  description = "Name of the installation in messages."
  type        = string
}

variable "source_of" {
  description = "The manifests: a file, a folder or a URL. Leave it empty if yaml is set."
  type        = string
  default     = ""
}

variable "yaml" {
  description = "The manifests, as text."
  type        = string
  default     = ""
}

variable "namespaces" {
  description = "Namespaces that the manifests create, the main one first. Everything in them is removed with them."
  type        = list(string)

  validation {
    condition     = length(var.namespaces) > 0
    error_message = "Name at least the namespace that the manifests create."
  }
}

variable "selector" {
  description = "Label selector for what the manifests create outside of the namespaces. Empty if there is nothing."
  type        = string
  default     = ""
}

variable "delete_first" {
  description = "Objects to delete before anything else, while a controller still handles their finalizers: arguments of kubectl delete, for all namespaces."
  type        = string
  default     = ""
}

variable "probe" {
  description = "An object, as YAML, that the API server must accept (in a dry run) before the installation counts as ready."
  type        = string
  default     = ""
}

variable "deadline" {
  description = "Seconds that the workloads may take to become ready, and to be removed."
  type        = number
  default     = 300

  validation {
    condition     = var.deadline >= 1 && floor(var.deadline) == var.deadline
    error_message = "The deadline must be a whole number of seconds, at least 1."
  }
}
