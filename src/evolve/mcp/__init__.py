"""How does an assistant use Evolve? As a server of the Model Context Protocol: tools, resources and prompts from the message registry."""
