//! Ports of the services of the bed; where nothing else is said, of TCP and UDP with one real server each.

/// Forwarded by the inside interface.
pub const INSIDE: u16 = 80;
/// Forwarded back out.
pub const BACK: u16 = 81;
/// Delivered to the director itself.
pub const LOCAL: u16 = 82;
/// The MAC address of the gateway towards the real server is not known.
pub const GATEWAY: u16 = 83;
/// The real server's MAC address is not known.
pub const UNRESOLVED: u16 = 84;
/// There is no route to the real server.
pub const UNREACHABLE: u16 = 85;
/// The real server has weight 0.
pub const QUIESCED: u16 = 86;
/// There is no real server.
pub const EMPTY: u16 = 87;
/// Allowed is the clients' network without the client that ends in 66.
pub const LISTED: u16 = 88;
/// Denied is the clients' network but for the client that ends in 66.
pub const DENYING: u16 = 89;
/// Several real servers, rr, wrr, mh, mh-port, maglev.
pub const SCHEDULED: [u16; 5] = [90, 91, 92, 93, 94];
/// No service, but on the second virtual address.
pub const NONE: u16 = 99;

/// The real server is behind a VLAN.
pub const VLAN: u16 = 100;

/// The real server is behind a VLAN of 802.1ad.
pub const SERVICE_VLAN: u16 = 101;
/// The real server is behind an interface that XDP cannot send by.
pub const BY_STACK: u16 = 102;

/// NAT; the real server has port [`SERVER`].
pub const NAT: u16 = 110;
/// NAT to the same real server and port as [`NAT`].
pub const NAT_TWIN: u16 = 111;
/// NAT; the real server's MAC address is not known.
pub const NAT_UNRESOLVED: u16 = 112;
/// FullNAT; the real server has port [`SERVER`].
pub const FULLNAT: u16 = 113;
/// FullNAT where the interface has no address of its own.
pub const FULLNAT_NO_OWN: u16 = 114;
/// Real servers by every method, in turn: the newest is local, then a tunnel, FullNAT, NAT, direct routing.
pub const MIXED: u16 = 115;
/// NAT; the real server has the same port.
pub const NAT_SAME: u16 = 116;
/// The port of real servers that are translated.
pub const SERVER: u16 = 8080;

/// ipip.
pub const IPIP: u16 = 120;
/// ipip to a real server of the other family.
pub const IPIP_CROSS: u16 = 121;
/// GRE.
pub const GRE: u16 = 122;
/// GRE with a checksum.
pub const GRE_SUM: u16 = 123;
/// GRE to a real server of the other family, with a checksum.
pub const GRE_CROSS: u16 = 124;
/// GUE.
pub const GUE: u16 = 125;
/// GUE with a checksum.
pub const GUE_SUM: u16 = 126;
/// GUE with remote checksums.
pub const GUE_REMOTE: u16 = 127;
/// GUE to a real server of the other family.
pub const GUE_CROSS: u16 = 128;
/// ipip where the interface has no address of its own.
pub const TUNNEL_NO_OWN: u16 = 129;
/// ipip, the real server's MAC address not known.
pub const TUNNEL_UNRESOLVED: u16 = 130;
/// ipip where the way takes packets of [`super::NARROW`] bytes only.
pub const NARROW: u16 = 131;
/// The outer port of GUE.
pub const GUE_OUTER: u16 = 6080;

/// One each of the schedulers of [`super::Topic::Schedulers`], several real servers.
pub const LATER: std::ops::Range<u16> = 140..156;
/// Several real servers with thresholds, by rr, wrr, lc and maglev.
pub const FULL: std::ops::Range<u16> = 160..164;

/// Any packet makes a connection.
pub const SLOPPY: u16 = 170;
/// Closing connections keep their real server; several real servers.
pub const KEEPING: u16 = 171;
/// Connections of real servers that are gone are given up, of any protocol; several real servers.
pub const GIVING_UP: u16 = 172;
/// They are not, of none.
pub const WAITING: u16 = 173;
/// Persistent, by network; several real servers.
pub const PERSISTENT: u16 = 180;
/// Persistent by host, but not to real servers of weight 0; several real servers.
pub const FICKLE: u16 = 181;
/// Persistent by call; UDP, several real servers.
pub const SIP: u16 = 182;
/// Every datagram by itself; UDP, several real servers.
pub const ONE_PACKET: u16 = 183;
/// Every datagram by itself, of persistent clients; UDP, several real servers.
pub const ONE_PACKET_PERSISTENT: u16 = 184;
/// Every datagram by itself, by NAT; UDP.
pub const ONE_PACKET_NAT: u16 = 187;
/// Every datagram by itself, by FullNAT; UDP.
pub const ONE_PACKET_FULLNAT: u16 = 188;
/// One new connection a second.
pub const LIMITED: u16 = 185;
/// One new connection a second of each source.
pub const SOURCE_LIMITED: u16 = 186;
/// Ports of the marked address that have mark 1, all of them of TCP.
pub const MARKED: (u16, u16) = (200, 210);
/// Of these, one that a client ending in 66 has mark 2 for, whatever the protocol.
pub const MARKED_OTHER: u16 = 205;
