"""What the papers minimise, as pure functions of tensors; λ and β appear here and nowhere else."""
