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

variable "chart" {
  description = "Folder of the chart."
  type        = string
}

variable "image" {
  description = "Image of the add-on, with a tag. Default: the image that the chart names."
  type        = string
  default     = ""

  validation {
    condition     = var.image == "" || can(regex("^[^:@]+(:[0-9]+/[^:@]+)?:[A-Za-z0-9_][A-Za-z0-9_.-]*$", var.image))
    error_message = "Write the image with its tag: registry/name:tag."
  }
}

variable "replicas" {
  description = "Number of replicas."
  type        = number
  default     = 2

  validation {
    condition     = var.replicas >= 1 && floor(var.replicas) == var.replicas
    error_message = "The number of replicas must be a whole number, at least 1."
  }
}

variable "backend" {
  description = "Where slots are kept: lease or memory. memory needs replicas = 1."
  type        = string
  default     = "lease"

  validation {
    condition     = contains(["lease", "memory"], var.backend)
    error_message = "The backend must be lease or memory."
  }
  validation {
    condition     = var.backend != "memory" || var.replicas == 1
    error_message = "The backend memory works with one replica only: set replicas to 1, or the backend to lease."
  }
}

variable "hold" {
  description = "How runs are held: auto, policy (Kubernetes 1.36 and later), webhook or none."
  type        = string
  default     = "auto"

  validation {
    condition     = contains(["auto", "policy", "webhook", "none"], var.hold)
    error_message = "The hold must be auto, policy, webhook or none."
  }
}

variable "values" {
  description = "More values for the chart. The variables above take precedence."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.values))
    error_message = "The values must be a map, as in values.yaml: { logLevel = \"debug\" }."
  }
}

variable "deadline" {
  description = "Seconds that the add-on may take to become ready, and to be removed."
  type        = number
  default     = 300
}
