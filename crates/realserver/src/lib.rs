//! The other half of direct routing: the VIP and the sysctls on a real server, undoable.
