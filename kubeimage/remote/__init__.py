"""The build cache that many machines share: each step's record and layer, in a registry or an OCI layout."""
