"""The training stream: samples in an order that can be told beforehand, prepared by workers, finished on the device."""
