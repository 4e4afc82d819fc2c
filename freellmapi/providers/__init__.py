"""How to speak to each upstream: catalog, wires, transport, classification."""
