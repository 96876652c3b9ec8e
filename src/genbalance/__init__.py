"""What do the balancing coefficients do? λ in a GAN, β in a VAE."""
