//! Every diagnostic code with its long explanation. Codes are stable: one is never given another meaning.
//!
//! E01xx: how a text is written. E02xx: what it says. E03xx: what this release does not do. E04xx: files. E05xx: TOML.

use evenkeel_source::Code;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal: $text:literal;)*) => {
        $(pub(crate) const $name: Code = Code($code);)*

        /// Every code with its explanation, in order.
        pub(crate) const ALL: &[(&str, &str)] = &[$(($code, $text)),*];
    };
}

codes! {
    UNKNOWN_WORD = "E0101": "The word is no directive of this format. ldirectord and heartbeat refuse the whole file \
        here; so does evenkeel, but it goes on reading and reports the other mistakes too.";
    ODD_BLANKS = "E0102": "The file has blanks that are no ASCII blanks (no-break spaces, ideographic spaces, a byte \
        order mark), mostly copied from a web page. ldirectord takes them for part of the word beside them. They are \
        read as ordinary blanks; `evenkeel check --fix` replaces them.";
    REMARK = "E0103": "Text behind a value that is neither part of it nor marked as a comment. It is read as a \
        remark. ldirectord ignores it behind some values and refuses the file behind others.";
    YES_NO = "E0104": "ldirectord compares yes and no exactly: `YES`, or `yes` with a blank behind it, makes it refuse \
        the file. It is read as meant.";
    ENCODING = "E0105": "The file is not valid UTF-8. An ldirectord.cf or a keepalived.conf is read as Latin-1 then; \
        TOML must be UTF-8.";
    LINE_ENDS = "E0106": "Lines end in CR LF, as Windows writes them. They are read as ordinary line ends.";
    NUL = "E0107": "The file holds a NUL byte, so it is hardly the text file it was meant to be.";
    LONG_LINE = "E0108": "A line is longer than any directive can be. Such a line is not read.";
    NUMBER = "E0109": "ldirectord takes the first digits it finds anywhere in the value and ignores the rest: \
        `checkinterval=500ms` means 500 seconds to it. The number is read as ldirectord reads it.";
    INDENTATION = "E0110": "Global directives start in the first column, directives of a virtual service are indented \
        by at least four blanks or a tab. ldirectord refuses the file otherwise. The directive is read as meant, where \
        its name leaves no doubt.";
    SECTION = "E0111": "An empty line ends a virtual service in an ldirectord.cf; an indented line behind it belongs to \
        nothing and ldirectord refuses the file.";
    QUOTES = "E0112": "The value needs plain double quotes around it. ldirectord refuses the line without them.";
    NO_VALUE = "E0113": "The directive has no value.";
    REPEATED = "E0114": "The directive stands twice in the same section; the last one counts.";
    DEPRECATED = "E0115": "The directive was given up by ldirectord itself.";
    HASH = "E0116": "Inside a virtual service ldirectord cuts every line at `#`, also within quotes. Read as meant.";
    CASE = "E0117": "The word is written in another case than ldirectord knows. It is read as meant.";
    BRACES = "E0118": "The braces of a keepalived.conf do not match. keepalived then takes words for those of another \
        block, ignores them and mostly starts all the same, with less than the file says. The blocks are read by what \
        may stand in which; a `}` that must have been forgotten is put where it was meant.";
    WRONG_BLOCK = "E0119": "The word is one of keepalived.conf, but not of the block it stands in. keepalived ignores \
        the line, and so does evenkeel.";
    NEAR_MISS = "E0120": "The word is no directive but only one letter or two away from exactly one. It is read as \
        that one.";
    VALUE = "E0121": "The value is not one the directive can have.";
    UNKNOWN_KEYWORD = "E0122": "The word is none of keepalived.conf. keepalived logs `Unknown keyword` and goes on \
        without the line or the block; so does evenkeel.";
    OTHER_WORD = "E0123": "The word is one of another check, or of old keepalived; it is read as the one that was \
        meant.";
    INCLUDE = "E0124": "A file that is included is missing, cannot be read or includes itself.";
    VARIABLE = "E0125": "A `${NAME}` that is defined nowhere stays as it is, in keepalived too.";
    EXPANSION = "E0126": "Definitions that use each other, or sequences that are as good as endless, are given up: \
        keepalived crashes of some of them.";
    COMMENT = "E0127": "In a keepalived.conf `#` and `!` begin a comment anywhere on a line, also in the middle of a \
        word, unless they stand in double quotes.";
    CONDITION = "E0128": "Lines that begin with `@NAME` are only for the node of that name, those with `@^NAME` for all \
        others.";
    EXTRA_WORDS = "E0129": "There are more words on the line than the keyword takes. keepalived ignores them.";
    NO_EFFECT = "E0130": "The directive has no effect here.";
    WEIGHTS_IGNORED = "E0131": "The schedulers `rr`, `lc` and `dh` treat real servers alike whatever their weights (0 \
        excepted), so weights that differ have no effect. Use `wrr`, `wlc` or `lblc` when they are to count.";
    BROKEN_LINE = "E0132": "A directive and its value stand on two lines, as text highlighters of web pages break them. \
        heartbeat takes each line for a directive of its own. They are read as one; `evenkeel check --fix` joins them.";
    EQUALS = "E0133": "In an ha.cf a blank stands between a directive and its value, not `=`.";
    TIME = "E0134": "The text is no time. heartbeat counts in seconds, which may have a fraction; `ms` and `us` behind the \
        number mean thousandths and millionths.";
    TIME_UNIT = "E0135": "The time has a unit that heartbeat does not know, or a blank before its unit, which makes a second \
        value of it. It is read as meant.";
    TOO_MANY_WORDS = "E0136": "More words than the directive takes. heartbeat takes each for a value: the last counts, and it \
        refuses to start when one of them can be none.";
    INET_ATON = "E0150": "The address is written in an old form that the C library still reads: with fewer than four \
        numbers the last one fills the remaining bytes (192.168.206 is 192.168.0.206), a leading 0x means hexadecimal, \
        a leading 0 octal.";
    OUT_OF_RANGE = "E0160": "The number is outside what the keyword can have. keepalived says so, ignores the line and \
        goes on with the default; so does evenkeel.";
    DUPLICATE_SERVICE = "E0201": "Two virtual services have the same address, protocol and port, or the same name.";
    DUPLICATE_REAL = "E0202": "A virtual service names the same real server twice. ldirectord then keeps one entry and \
        the two fight over its weight.";
    NO_REAL_SERVERS = "E0203": "The virtual service has no real server, so only its fallback can ever answer.";
    PORT = "E0204": "A port is a number from 1 to 65535 or the name of a service.";
    ADDRESS = "E0205": "The text is no address, and no host of that name is known.";
    FAMILY = "E0206": "A virtual service and its real servers need addresses of one family: only a tunnel can carry \
        an IPv4 packet to an IPv6 real server, and the other way round.";
    RANGE = "E0207": "A range of real servers goes from a lower IPv4 address to a higher one and is not endless.";
    WEIGHT = "E0208": "A weight is a number from 0 to 2147483647.";
    PORT_REWRITE = "E0209": "With direct routing, tunnels and local delivery packets keep their port: the real server \
        is reached on the port of the virtual service, whatever port is written. The written one is used for checks.";
    REGEX = "E0210": "The pattern is no valid regular expression. ldirectord dies of one, silently.";
    HEAD_BODY = "E0211": "An answer to HEAD has no body, so a pattern for the body never matches and the real server \
        is always down.";
    FIREWALL_MARK = "E0212": "Firewall mark 0 means `no mark` to the kernel and cannot name a virtual service.";
    CHECK_PORT = "E0213": "There is no port the check could connect to.";
    ALWAYS_UP = "E0214": "The check can never fail.";
    SETTING_TWICE = "E0215": "Two files give the same setting different values.";
    DURATION = "E0216": "A duration is a number with a unit, such as 500ms, 3s, 2m, 1h or 1d.";
    SERVICE_TYPE = "E0217": "The service is none that ldirectord knows.";
    NAMED_TWICE = "E0218": "Two real servers of one virtual service have the same name.";
    ALIASES = "E0219": "The host name has several addresses; the first is used, as ldirectord does.";
    EMPTY = "E0220": "The files name no virtual service, so there is nothing to do.";
    MISSING_KEY = "E0221": "Something that must be said is not.";
    PRIVATE_TIMEOUTS = "E0222": "With checktype=N the attempts that connect have the same deadline as those that \
        negotiate here; the longer of the two is used.";
    OTHER_PORT = "E0223": "The line names no port, so the check connects to the usual port of its service, as \
        ldirectord does, while clients are sent to the port of the virtual service.";
    PERSISTENCE = "E0224": "Persistence lasts from one second to 31 days (2678400 s).";
    ONE_PACKET = "E0225": "Only packets of UDP can be scheduled one by one; IPVS refuses it for other protocols.";
    THRESHOLDS = "E0226": "A real server that has as many connections as its upper threshold gets no new ones until it \
        has fewer than its lower one, so the lower one cannot be above the upper one.";
    SCHED_FLAGS = "E0227": "sh and mh have the flags sh-port, sh-fallback, mh-port and mh-fallback. The kernel stores \
        flag-1 to flag-3 for any scheduler, most of which they mean nothing to.";
    VRRP_NAME = "E0231": "Two blocks of one kind have the same name, or a name is used that no block has.";
    VRRP_ID = "E0232": "Each VRRP instance needs a virtual_router_id from 1 to 255 that no other instance on the same \
        interface has: routers that share one take each other for one router.";
    VRRP_STATE = "E0233": "Parts of a VRRP instance that contradict each other; keepalived leaves one of them out.";
    VRRP_ADDRESS = "E0234": "A virtual address that keepalived cannot use, or not as written.";
    VRRP_TIMING = "E0235": "VRRP version 2 counts its advertisement interval in whole seconds, version 3 in hundredths \
        up to 40.95 s.";
    VRRP_ROUTE = "E0246": "A route or a routing rule that cannot be used, or not as written. The words are those of \
        `ip route` and `ip rule`.";
    VRRP_FAMILY = "E0241": "A VRRP instance moves addresses of one family; of IPv6 the first should be link-local.";
    VRRP_VERSION = "E0242": "Version 2 of VRRP is for IPv4, counts whole seconds and may have a password; version 3 has \
        IPv6 and hundredths of a second, and no password.";
    SYNC_GROUP = "E0243": "A sync group keeps several instances together; one of its own does nothing.";
    BFD = "E0250": "A BFD session that cannot be, or not as written: two with one neighbour, an interval that is out of \
        range, a link-local neighbour without its interface.";
    GROUP = "E0236": "A virtual_server_group that no virtual_server names, or that is named and not there.";
    NODE = "E0260": "The nodes of a cluster are named as `uname -n` does on each of them, in any case; one of them is this \
        host, and other files name no others. `--node NAME` says which one this is.";
    TIMING = "E0261": "Times that contradict each other: a node is dead after more than two statuses, at the start not sooner \
        than later, and late before it is dead.";
    MEDIUM = "E0262": "How nodes hear each other: bcast, ucast, mcast or serial lines, at least one of them.";
    KEYS = "E0263": "authkeys holds `auth N`, then a line `N METHOD KEY` for each key, N from 0 to 15: N signs, all are \
        accepted. The key is one word.";
    KEYS_MODE = "E0264": "Who can read authkeys can take part in the cluster, so heartbeat refuses a file that others can read; \
        so does evenkeel.";
    RESOURCE = "E0265": "A line of haresources is a node and the resources it prefers to have: addresses, scripts with \
        arguments behind `::`, OCF agents, units.";
    MANAGER = "E0266": "The file leaves resources to pacemaker, or nodes to chance. evenkeel moves what haresources names \
        between nodes that ha.cf names.";
    CLAIMED_TWICE = "E0267": "An address belongs to one resource group or one VRRP instance. Of two owners each could put it on \
        another node.";
    CHILD = "E0268": "A program that heartbeat would keep running, and that is not here or cannot run without heartbeat.";
    FENCE = "E0269": "A fence device that cannot be used as it is written.";
    SINGLE_PATH = "E0270": "All heartbeats go through one interface. When its cable is pulled, each node takes the other for \
        dead and holds every resource: a split brain.";
    LEGACY = "E0271": "auto_failback is `legacy` where nothing else is said: a node takes its own resources whenever it starts, \
        and neither hb_standby nor ipfail can move them.";
    NETSTRING = "E0272": "In heartbeat 3.0.6 the form netstring keeps what scripts say from the wire, so that resources of \
        haresources do not move cleanly.";
    NO_HA_CF = "E0273": "authkeys and haresources mean nothing without the ha.cf they belong to.";
    GROUP_TWICE = "E0274": "A resource group goes by its name, in haresources by its first resource, so no two can have the same.";
    OWN_GROUP = "E0275": "Without a haresources the addresses of the virtual services make one resource group, which prefers the \
        first node: what ldirectord serves must have its address somewhere.";
    IPFAIL = "E0276": "heartbeat's ipfail moves resources from a node that reaches fewer ping nodes than the other. It is built in: a \
        respawn line of any path that ends in ipfail turns it on.";
    NOT_NAMED = "E0277": "Beside an ha.cf only the ldirectord.cf files that haresources names are read; without a haresources, \
        ldirectord.cf.";
    DEVICE = "E0278": "A serial line or a watchdog that this host has not. Without its serial line nodes hear each other less; \
        without its watchdog a host that hangs keeps what it has.";
    GUARD = "E0279": "The kernel ends an address that nobody renews in whole seconds. Where a node is dead sooner than that, only the \
        guard, a process beside the daemon, ends the addresses of a dead daemon in time.";
    NOT_TOLD = "E0280": "heartbeat runs scripts of rc.d for messages that it does not deal with itself, and so does evenkeel: a \
        script for one of the others never runs.";
    MANY_GROUPS = "E0281": "In each status a node names all resource groups it has, so that no two have the same one. What one \
        datagram cannot hold cannot be told.";
    MANY_NODES = "E0282": "The scripts of a heartbeat with haresources move groups between two nodes; what they do with more is not \
        defined. Between evenkeels each group moves by itself, along the order of the nodes.";
    WEAK_KEY = "S0202": "The key of heartbeat's messages can be guessed, or is none: who knows it, and reaches the port, can take \
        every resource.";
    CLEAR_TEXT = "S0201": "The password of VRRP travels in clear text in every advertisement; it keeps nobody out who \
        can listen. Use it only while a keepalived peer needs it.";
    PROBE = "E0303": "There is no probe for this service in this release. The probes are http, https, smtp, tcp (connect), \
        ping and external programs.";
    QUORUM = "E0305": "A quorum, or a hysteresis, that the real servers cannot reach. The quorum is the weight that must be \
        up, and the hysteresis, always less, how much more it takes to reach it again and how much less to lose it.";
    CHECK_PART = "E0307": "A part of a check that this release cannot carry out.";
    NOT_HERE = "E0308": "A directive that this program does not carry out, and that must not pass for carried out.";
    LATER = "E0309": "This part of the file is read by a later release.";
    SHELL = "E0310": "Commands are run without a shell, so characters that only a shell understands are refused.";
    UNREADABLE = "E0401": "The file cannot be read.";
    NOT_A_FILE = "E0402": "The path is no ordinary file and no directory.";
    EMPTY_FILE = "E0403": "The file holds nothing but blanks and comments.";
    FOREIGN_FORMAT = "E0404": "The file is in a format that this release does not read.";
    UNKNOWN_FORMAT = "E0405": "The format of the file can be told neither by its name nor by its content; --format \
        says it.";
    NO_FILES = "E0406": "The directory holds no file that evenkeel reads.";
    TOO_LARGE = "E0407": "The file is larger than any configuration.";
    TOO_MANY = "E0408": "So many problems were found that the rest is not reported.";
    TOML_SYNTAX = "E0501": "The text is not TOML.";
    UNKNOWN_KEY = "E0502": "The key is none that evenkeel knows here. Unknown keys are errors, so that a typing mistake \
        cannot pass for a setting.";
    WRONG_TYPE = "E0503": "The value has another type than the key wants.";
    CONFLICTING_KEYS = "E0504": "Two keys exclude each other.";
}

/// The long explanation of a code such as `E0102`; `None` when there is no such code.
pub fn explain(code: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_explained() {
        for (at, (code, text)) in ALL.iter().enumerate() {
            assert!(text.len() > 20 && !text.contains("  "), "{code}");
            assert!(!ALL[..at].iter().any(|(other, _)| other == code), "{code} twice");
        }
        assert!(explain("e0102").unwrap().contains("no-break"));
        assert_eq!(explain("E9999"), None);
    }
}
