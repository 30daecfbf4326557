"""What the tests of whole programs stand on: real services, Naru's processes, log sources, oracles."""
