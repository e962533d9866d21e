//! Files, processes, namespaces, mounts and signals.
