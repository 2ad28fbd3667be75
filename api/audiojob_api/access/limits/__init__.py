"""How much a user may ask for: requests in a short time, and jobs by hour, by day, and at once."""
