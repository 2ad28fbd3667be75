"""What comes in: uploads in parts, which exist whole or not at all."""
