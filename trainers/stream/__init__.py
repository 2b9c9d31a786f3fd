"""The training stream: samples in a deterministic order, prepared by workers and finished on the device."""
