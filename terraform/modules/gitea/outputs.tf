output "url" {
  description = "Gitea's address in the cluster, which is also its ROOT_URL."
  value       = local.url
}

output "username" {
  description = "The administrator's name."
  value       = var.username
}

output "password" {
  description = "The administrator's password."
  value       = local.secret.password
  sensitive   = true
}

output "token_secret" {
  description = "Namespace, name and key of the Secret with an API token of the administrator."
  value       = { namespace = local.namespace, name = "gitea-token", key = "token" }
  depends_on  = [terraform_data.token]
}
