//! Requests, replies and events between the daemon and its clients.
