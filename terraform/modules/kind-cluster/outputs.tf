output "kubeconfig" {
  description = "The cluster's kubeconfig."
  value       = terraform_data.cluster.output.kubeconfig
}

output "id" {
  description = "Changes when the cluster is replaced. Available once the images are loaded."
  value       = terraform_data.cluster.id
  depends_on  = [terraform_data.image]
}
