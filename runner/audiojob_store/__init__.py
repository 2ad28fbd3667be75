"""What runner and `files` share of the store: folders by descriptors, file names, names within an attempt's folder."""
