"""Technology behind the ports: each file names its own."""
