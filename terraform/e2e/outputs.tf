output "kubeconfig" {
  description = "The administrator's kubeconfig."
  value       = local.cluster.kubeconfig
}

output "gitea_url" {
  description = "Gitea's address on this machine. Empty if Gitea is not installed or no port leads to it; then use kubectl port-forward."
  value       = local.node_port == 0 || var.git_provider != "gitea" ? "" : "http://127.0.0.1:${var.gitea_port}"
}

output "gitea_cluster_url" {
  description = "Gitea's address in the cluster, with which the URLs of its repositories begin. Empty without Gitea."
  value       = try(module.gitea[0].url, "")
}

output "gitea_username" {
  description = "Gitea's administrator."
  value       = try(module.gitea[0].username, "")
}

output "gitea_password" {
  description = "The password of Gitea's administrator."
  value       = try(module.gitea[0].password, "")
  sensitive   = true
}

output "gitea_token_secret" {
  description = "Namespace, name and key of the Secret with an API token of Gitea's administrator. Null without Gitea."
  value       = try(module.gitea[0].token_secret, null)
}

output "pac_controller_url" {
  description = "URL in the cluster to which webhooks send their events."
  value       = module.pipelines_as_code.controller_url
}

output "addon_namespace" {
  description = "Namespace of the add-on. Empty if it is not installed."
  value       = try(module.pac_lease_queue[0].namespace, "")
}
