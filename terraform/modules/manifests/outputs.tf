output "id" {
  description = "Changes whenever the manifests have been applied again."
  value       = terraform_data.applied.id
}

output "claim" {
  description = "Id of the resource that removes this module's objects when it is destroyed."
  value       = terraform_data.claim.id
}
