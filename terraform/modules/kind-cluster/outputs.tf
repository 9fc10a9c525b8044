output "kubeconfig" {
  description = "The cluster's kubeconfig."
  value       = terraform_data.cluster.output.kubeconfig
}

output "id" {
  description = "Changes when the cluster is replaced. Known when the images are loaded."
  value       = terraform_data.cluster.id
  depends_on  = [terraform_data.image]
}
