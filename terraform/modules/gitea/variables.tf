variable "cluster" {
  description = "The cluster: its kubeconfig, an id that changes when it is replaced, and disposable: whether the same state creates and deletes it."
  type        = object({ id = string, kubeconfig = string, disposable = optional(bool, false) })
}

variable "image" {
  description = "Image of Gitea, with the program at /app/gitea/gitea as in the published images. Default: a published image."
  type        = string
  default     = ""
}

variable "username" {
  description = "Name of the administrator, who owns every repository."
  type        = string
  default     = "pac"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*$", var.username)) && var.username != "admin"
    error_message = "Use lower-case letters, digits and dashes. Gitea reserves \"admin\"."
  }
}

variable "node_port" {
  description = "Port of the cluster's nodes that leads to Gitea. 0 means none."
  type        = number
  default     = 0

  validation {
    condition     = var.node_port == 0 || (var.node_port >= 30000 && var.node_port <= 32767)
    error_message = "A node port must be 30000 to 32767, or 0 for none."
  }
}

variable "deadline" {
  description = "Seconds that Gitea may take to become ready, and to be removed."
  type        = number
  default     = 300
}
