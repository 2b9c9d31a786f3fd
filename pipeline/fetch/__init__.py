"""Making the table `downloads`: URLs are fetched in parallel, journalled, and committed part by part."""
