"""The custom resources as pydantic models. Imports the root modules of this package."""
