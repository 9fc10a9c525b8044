output "id" {
  description = "Changes whenever Pipelines-as-Code has been installed again."
  value       = terraform_data.watchers.id
}

output "controller_url" {
  description = "URL in the cluster to which webhooks send their events."
  value       = "http://pipelines-as-code-controller.pipelines-as-code.svc:8080"
}

output "claim" {
  description = "Id of the resource that removes this module's objects when it is destroyed."
  value       = module.manifests.claim
}
