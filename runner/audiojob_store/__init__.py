"""What programs that reach a store share: folders by descriptors, file names, and the tickets of the files service."""
