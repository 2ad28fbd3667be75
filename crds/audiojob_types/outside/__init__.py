"""The border to the network: which private networks may be reached, what an answer asks for, what no text may tell."""
