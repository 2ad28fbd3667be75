"""In-memory copies of what decisions depend on. They report changes through callbacks; imports deciding and below."""
