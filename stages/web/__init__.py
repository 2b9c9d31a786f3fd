"""A safe and polite HTTP client: checked addresses, bounded requests, robots.txt, opt-outs, rate limits per host."""
