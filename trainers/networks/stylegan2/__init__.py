"""StyleGAN2 (Karras et al., "Analyzing and improving the image quality of StyleGAN", 2020): networks and layers."""
