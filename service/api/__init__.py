"""The HTTP edge: the only FastAPI and pydantic; parses, makes one call of the gateway, renders."""
