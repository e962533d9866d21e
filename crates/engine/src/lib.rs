//! All decisions of one node, without a clock or a socket.
