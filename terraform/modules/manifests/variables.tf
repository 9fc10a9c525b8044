variable "cluster" {
  description = "The cluster: its kubeconfig, an id that changes when it is replaced, and whether it is made and deleted along with this."
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

variable "optional" {
  description = "Whether this may be removed from a cluster that stays, even if that is a disposable one."
  type        = bool
  default     = false
}

variable "title" {
  description = "What this is called in messages."
  type        = string
}

variable "source_of" {
  description = "The manifests: a file, a folder or a URL. Empty if yaml is given."
  type        = string
  default     = ""
}

variable "yaml" {
  description = "The manifests, as text."
  type        = string
  default     = ""
}

variable "namespaces" {
  description = "Namespaces that the manifests make, the main one first. Everything in them is removed with them."
  type        = list(string)

  validation {
    condition     = length(var.namespaces) > 0
    error_message = "Name the namespace that the manifests make."
  }
}

variable "selector" {
  description = "Labels of what the manifests make outside of the namespaces. Empty if there is nothing."
  type        = string
  default     = ""
}

variable "delete_first" {
  description = "What to delete before anything is removed, while finalizers of it are still taken care of: arguments of kubectl delete, for all namespaces."
  type        = string
  default     = ""
}

variable "probe" {
  description = "An object, as YAML, that the API server must be ready to create before this counts as installed. It is not created."
  type        = string
  default     = ""
}

variable "deadline" {
  description = "Seconds that it may take to get ready, and to be removed."
  type        = number
  default     = 300

  validation {
    condition     = var.deadline >= 1 && floor(var.deadline) == var.deadline
    error_message = "The deadline is a whole number of seconds."
  }
}
