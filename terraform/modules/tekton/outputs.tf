output "id" {
  description = "Changes whenever Tekton has been installed again."
  value       = module.manifests.id
}

output "claim" {
  description = "Id of the resource that removes this module's objects when it is destroyed."
  value       = module.manifests.claim
}
