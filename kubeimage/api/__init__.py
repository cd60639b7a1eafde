"""The whole operations: what the command line does, as functions. `kubeimage` names them all."""
