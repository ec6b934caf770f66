"""The command `xmdpt`: what a person does with the client from a shell."""
