"""The border to the network: which networks may be reached, what an answer asks for, what metrics and no text tell."""
