//! Links, addresses, routes and neighbours of the host.
