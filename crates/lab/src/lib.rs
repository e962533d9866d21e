//! Whole topologies in network namespaces.
