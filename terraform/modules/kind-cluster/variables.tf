variable "name" {
  description = "Name of the cluster. It must be free."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$", var.name))
    error_message = "The cluster's name becomes part of host names: use up to 50 lower-case letters, digits and dashes, with a letter or digit at both ends."
  }
}

variable "kubeconfig" {
  description = "File to write the cluster's kubeconfig to."
  type        = string

  validation {
    condition     = startswith(var.kubeconfig, "/")
    error_message = "The kubeconfig must be an absolute path, so that it is found from any folder."
  }
}

variable "node_image" {
  description = "Image of the node. Default: that of this version of kind."
  type        = string
  default     = ""
}

variable "config_patches" {
  description = "YAML that is appended to the cluster's configuration, e.g. containerdConfigPatches and kubeadmConfigPatches."
  type        = string
  default     = ""

  validation {
    condition     = var.config_patches == "" || can(keys(yamldecode(var.config_patches)))
    error_message = "The patches are appended to a kind configuration, so they must be YAML with top-level keys such as containerdConfigPatches."
  }
  validation {
    condition     = length(setintersection(try(keys(yamldecode(var.config_patches)), []), ["kind", "apiVersion", "nodes"])) == 0
    error_message = "The patches must not contain kind, apiVersion or nodes, which the configuration already has."
  }
}

variable "ports" {
  description = "Ports of the node to publish on 127.0.0.1, as a map from the node's port to the local port."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for node, host in var.ports : can(tonumber(node)) && host > 0 && host < 65536])
    error_message = "A port must be a number from 1 to 65535."
  }
}

variable "image_archives" {
  description = "Archives of container images to load, as written by docker save. An archive is loaded again when its name changes."
  type        = list(string)
  default     = []
}

variable "deadline" {
  description = "Seconds that the node may take to become ready."
  type        = number
  default     = 300

  validation {
    condition     = var.deadline >= 1 && floor(var.deadline) == var.deadline
    error_message = "The deadline must be a whole number of seconds, at least 1."
  }
}
