//! Words of `virtual_server` and `real_server`.

use super::{
    Argument::{self, Block, Bool, Decimal, None as Alone, Number, OneOf, Script, Server, Text, Words},
    Keyword, SECOND, Scope, Status,
    Status::{Done, Nothing, Partly},
    keywords,
};

const START: Status = Nothing("no real server gets traffic before its first good check anyway");
const SNMP: Status = Nothing("there is no SNMP agent");
const WARMUP: Status = Nothing("first checks are made at once, in portions, so that nobody waits");
const ONE_METHOD: &[&str] = &["inet", "inet6"];

/// Seconds of waits: up to what keepalived's timers hold.
const WAIT: Argument = Decimal(0, 4_294 * SECOND);
const TIME: Argument = Decimal(1_000, 4_294 * SECOND);
pub(super) const RETRY: Argument = Number(0, 4_294_967_295);
const WEIGHT: Argument = Number(0, 2_147_483_647);
const METHOD: Argument = Words(1, 6);

pub(super) const VIRTUAL_SERVER: &[Keyword] = keywords! {
    "lvs_sched" Text, Done, "how connections are spread; wlc where nothing is said";
    "lb_algo" Text, Done, "old name of lvs_sched";
    "lvs_method" METHOD, Done, "NAT, DR or TUN with type ipip, gue or gre; NAT where nothing is said";
    "lb_kind" METHOD, Done, "old name of lvs_method";
    "protocol" OneOf(&["TCP", "UDP", "SCTP"]), Done, "protocol of an address and port; UDP where nothing is said";
    "ip_family" OneOf(ONE_METHOD), Done, "family of a firewall mark";
    "persistence_timeout" Words(0, 1), Done, "seconds a client stays with its real server; 360 where none are said";
    "persistence_granularity" Text, Done, "netmask of clients that stay together";
    "persistence_engine" Text, Done, "`sip`: by Call-ID";
    "hashed" Alone, Nothing("IPVS sets it by itself"), "a flag of IPVS";
    "ops" Alone, Done, "schedule every UDP packet by itself";
    "flag-1" Alone, Done, "first flag of the scheduler";
    "flag-2" Alone, Done, "second flag of the scheduler";
    "flag-3" Alone, Done, "third flag of the scheduler, which none has";
    "sh-port" Alone, Done, "sh: the source port counts as well";
    "sh-fallback" Alone, Done, "sh: another real server where its own is down";
    "mh-port" Alone, Done, "mh: the source port counts as well";
    "mh-fallback" Alone, Done, "mh: another real server where its own is down";
    "retry" RETRY, Done, "failed checks more before a real server is down";
    "delay_before_retry" WAIT, Partly("no longer than delay_loop"), "seconds to the check behind a failed one";
    "warmup" WAIT, WARMUP, "seconds the first check may wait";
    "connect_timeout" TIME, Done, "seconds a check may take; 5 where nothing is said";
    "delay_loop" TIME, Done, "seconds between checks; 60 where nothing is said";
    "inhibit_on_failure" Bool, Done, "weight 0 instead of removal";
    "alpha" Bool, Partly("no real server gets traffic before its first good check anyway; the quorum begins lost"),
        "real servers are down until a check is good";
    "omega" Alone, Done, "run the scripts of what goes down at the end";
    "quorum" Number(1, 4_294_967_295), Done, "weight that must be up";
    "hysteresis" Number(0, 4_294_967_295), Done, "how far the quorum may be missed";
    "quorum_up" Script, Done, "program run when the quorum is reached";
    "quorum_down" Script, Done, "program run when it is lost";
    "weight" WEIGHT, Done, "weight of real servers that say none";
    "sorry_server" Words(1, 2), Done, "who answers while the quorum is lost";
    "sorry_server_inhibit" Alone, Done, "weight 0 for the sorry server instead of removal";
    "sorry_server_lvs_method" METHOD, Done, "its forwarding method";
    "ha_suspend" Alone, Done, "no checks while the address is on another node";
    "smtp_alert" Bool, Done, "mail when the quorum comes or goes";
    "virtualhost" Text, Done, "Host header of HTTP checks";
    "snmp_name" Text, SNMP, "name in SNMP";
    "real_server" Server(Scope::RealServer), Done, "a real server";
};

pub(super) const REAL_SERVER: &[Keyword] = keywords! {
    "weight" WEIGHT, Done, "its share of connections; 1 where nothing is said";
    "lvs_method" METHOD, Done, "its forwarding method";
    "uthreshold" Number(0, 4_294_967_295), Done, "connections with which it takes no more";
    "lthreshold" Number(0, 4_294_967_295), Done, "connections below which it takes some again";
    "inhibit_on_failure" Bool, Done, "weight 0 instead of removal";
    "notify_up" Script, Done, "program run when it comes up";
    "notify_down" Script, Done, "program run when it goes down";
    "alpha" Bool, START, "down until a check is good";
    "retry" RETRY, Done, "failed checks more before it is down";
    "delay_before_retry" WAIT, Partly("no longer than delay_loop"), "seconds to the check behind a failed one";
    "warmup" WAIT, WARMUP, "seconds the first check may wait";
    "connect_timeout" TIME, Done, "seconds a check may take";
    "delay_loop" TIME, Done, "seconds between checks";
    "smtp_alert" Bool, Done, "mail when it comes or goes";
    "virtualhost" Text, Done, "Host header of HTTP checks";
    "snmp_name" Text, SNMP, "name in SNMP";
    "TCP_CHECK" Block(Scope::Tcp), Done, "a TCP connection is taken";
    "HTTP_GET" Block(Scope::Http), Done, "an HTTP request is answered";
    "SSL_GET" Block(Scope::SslGet), Done, "an HTTPS request is answered";
    "MISC_CHECK" Block(Scope::Misc), Done, "a program ends with status 0";
    "PING_CHECK" Block(Scope::Ping), Done, "an ICMP echo is answered";
    "UDP_CHECK" Block(Scope::Udp), Done, "a UDP port is not refused, or answers";
    "DNS_CHECK" Block(Scope::Dns), Done, "a DNS question is answered";
    "SMTP_CHECK" Block(Scope::Smtp), Done, "a mail server greets";
    "BFD_CHECK" Block(Scope::BfdCheck), Done, "a BFD session is up";
    "FILE_CHECK" Block(Scope::FileCheck), Done, "a number in a file";
};
