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

variable "chart" {
  description = "The chart: a folder."
  type        = string
}

variable "image" {
  description = "Image of the add-on, with a tag; empty means the one that the chart names."
  type        = string
  default     = ""

  validation {
    condition     = var.image == "" || can(regex("^[^:@]+(:[0-9]+/[^:@]+)?:[A-Za-z0-9_][A-Za-z0-9_.-]*$", var.image))
    error_message = "Write the image with its tag: registry/name:tag."
  }
}

variable "replicas" {
  description = "How many replicas run."
  type        = number
  default     = 2

  validation {
    condition     = var.replicas >= 1 && floor(var.replicas) == var.replicas
    error_message = "The number of replicas is 1 or more."
  }
}

variable "backend" {
  description = "Where slots are kept: lease or memory. Memory needs replicas = 1."
  type        = string
  default     = "lease"

  validation {
    condition     = contains(["lease", "memory"], var.backend)
    error_message = "The backend is lease or memory."
  }
  validation {
    condition     = var.backend != "memory" || var.replicas == 1
    error_message = "The backend memory is that of one replica: set replicas to 1, or the backend to lease."
  }
}

variable "hold" {
  description = "How runs are held: auto, policy (Kubernetes 1.36 and later), webhook or none."
  type        = string
  default     = "auto"

  validation {
    condition     = contains(["auto", "policy", "webhook", "none"], var.hold)
    error_message = "The hold is auto, policy, webhook or none."
  }
}

variable "values" {
  description = "More values of the chart. What the variables above say, wins."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.values))
    error_message = "The chart's values are a map, as in values.yaml: { logLevel = \"debug\" }."
  }
}

variable "deadline" {
  description = "Seconds that the add-on may take to get ready, and to be removed."
  type        = number
  default     = 300
}
