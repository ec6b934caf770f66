"""The serving side: gateway, queue and worker around the exported graphs of X-MDPT."""
