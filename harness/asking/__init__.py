"""What a run was asked for: options, settings, arguments, and the Kubefiles that they name."""
