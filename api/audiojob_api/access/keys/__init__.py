"""API keys: made, kept as hashes, taken as tokens. A key acts for its owner, within its scopes."""
