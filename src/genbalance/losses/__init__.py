"""What the papers minimise, as pure functions of tensors; λ and β act here and nowhere else."""
