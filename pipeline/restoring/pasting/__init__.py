"""Put a restored face back into its photo: a soft mask, colours and grain as around it."""
