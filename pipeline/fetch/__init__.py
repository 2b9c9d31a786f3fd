"""How the table `downloads` is made: URLs fetched in parallel, journalled, committed part by part."""
