"""References made from their target: another pose, expression, light and age, without any weights."""
