"""What flows: the tables, theta, the sample and the reject reasons. Imports nothing else of ours."""
