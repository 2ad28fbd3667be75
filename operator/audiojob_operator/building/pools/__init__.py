"""The Jobs of workers of pools."""
