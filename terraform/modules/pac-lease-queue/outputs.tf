output "namespace" {
  description = "Namespace of the add-on."
  value       = local.release
}

output "release" {
  description = "The Helm release."
  value       = local.release
  depends_on  = [terraform_data.upgrade]
}
