"""Face embedders as torch networks, through which gradients flow."""
