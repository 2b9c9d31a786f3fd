"""The build: the stages in their order, and the checks around them."""
