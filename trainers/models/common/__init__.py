"""What several models share: evaluation, discriminator phases, presets for small faces."""
