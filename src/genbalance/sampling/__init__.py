"""Sampling from trained models: chosen digits, interpolations, figures of the latents, a server, ONNX files."""
