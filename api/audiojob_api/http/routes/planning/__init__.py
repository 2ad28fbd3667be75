"""What can be asked before anything is made."""
