//! Words of the checks. Most of them are the same for all.

use super::{
    Argument::{
        Address, Block, Bool, Decimal, Interface, None as Alone, Number, OneOf, Script, Text, User, Weight, Words,
    },
    Keyword, SECOND, Scope, Status,
    Status::{Done, Nothing, Partly, Refused},
    keywords,
    servers::RETRY,
};

const START: Status = Nothing("no real server gets traffic before its first good check anyway");
const SOURCE: Status = Nothing("checks come from the address that the host's routes choose");
const MISSING: Status = Refused("there is no probe for it yet");

pub(super) const CONNECTION: &[Keyword] = keywords! {
    "connect_ip" Address, Done, "address to connect to, instead of the real server's";
    "connect_port" Number(1, 65535), Done, "port to connect to, instead of the real server's";
    "connect_timeout" Decimal(1_000, 4_294 * SECOND), Done, "seconds an attempt may take";
    "bindto" Address, SOURCE, "address to connect from";
    "bind_port" Number(1, 65535), SOURCE, "port to connect from";
    "bind_if" Interface, SOURCE, "interface to connect from";
    "fwmark" Number(0, 4_294_967_295), Nothing("packets of checks have no mark"), "mark of the packets";
};

pub(super) const RHYTHM: &[Keyword] = keywords! {
    "retry" RETRY, Done, "failed attempts more before the real server is down";
    "delay_before_retry" Decimal(0, 4_294 * SECOND), Partly("no longer than delay_loop"),
        "seconds to the attempt behind a failed one";
    "warmup" Decimal(0, 4_294 * SECOND), Nothing("first checks are made at once, in portions, so that nobody waits"),
        "seconds the first attempt may wait";
    "delay_loop" Decimal(1_000, 4_294 * SECOND), Done, "seconds between attempts";
    "alpha" Bool, START, "down until an attempt is good";
    "log_all_failures" Bool, Done, "log every failed attempt: evenkeel always tells why one failed";
};

pub(super) const HTTP: &[Keyword] = keywords! {
    "virtualhost" Text, Done, "Host header";
    "http_protocol" OneOf(&["1.0", "1.0C", "1.0c", "1.0K", "1.0k", "1.1"]), Nothing("requests are HTTP/1.1"),
        "version of the protocol";
    "nb_get_retry" RETRY, Done, "old name of retry";
    "fast_recovery" Bool, Nothing("there is one url"), "no pause between several urls";
    "enable_sni" Alone, Done, "send the Host header's name in the TLS handshake";
    "sni_name" Text, Done, "send this name in the TLS handshake";
};

pub(super) const HTTP_ONLY: &[Keyword] = keywords! {
    "url" Block(Scope::HttpUrl), Partly("one for each check"), "what is asked for, and what must come";
};

pub(super) const SSL_ONLY: &[Keyword] = keywords! {
    "url" Block(Scope::SslUrl), Partly("one for each check"), "what is asked for, and what must come";
    "tls_compliant" Alone, Nothing("a connection that ends without notice is taken"), "the TLS session must end with notice";
};

pub(super) const URL: &[Keyword] = keywords! {
    "path" Text, Done, "path of the request; / where nothing is said";
    "digest" Text, Refused("answers are not hashed yet: a regex can look at them"), "MD5 of the answer's body";
    "status_code" Words(1, 128), Done, "status codes and ranges that are good; 200-299 where nothing is said";
    "virtualhost" Text, Done, "Host header";
    "regex" Text, Done, "pattern (PCRE2) that the answer must match";
    "regex_no_match" Alone, Refused("a pattern that must not match is not there yet"), "the pattern must not match";
    "regex_options" Words(1, 32), Partly("caseless, dotall, multiline and extended"), "options of the pattern";
    "regex_min_offset" Number(0, 4_294_967_295), Refused("patterns look at the whole answer"), "where matching begins";
    "regex_max_offset" Number(0, 4_294_967_295), Refused("patterns look at the whole answer"), "where a match may begin";
    "regex_stack" Words(2, 2), Nothing("matching needs no stack"), "memory of the pattern";
};

pub(super) const SSL_URL: &[Keyword] = keywords! {
    "tls_compliant" Alone, Nothing("a connection that ends without notice is taken"), "the TLS session must end with notice";
};

pub(super) const MISC: &[Keyword] = keywords! {
    "misc_path" Script, Done, "program and its arguments; no shell reads them";
    "misc_timeout" Number(1, 4_294), Done, "seconds it may take; delay_loop where nothing is said";
    "misc_dynamic" Alone, Refused("a weight that follows the exit status is not there yet"), "the exit status sets the weight";
    "user" User, Refused("programs run as evenkeel's own user"), "user of the program";
};

pub(super) const UDP: &[Keyword] = keywords! {
    "payload" Words(1, 1024), MISSING, "what is sent";
    "require_reply" Words(0, 1024), MISSING, "what must come";
    "min_reply_length" Number(0, 65535), MISSING, "least bytes of the answer";
    "max_reply_length" Number(0, 65535), MISSING, "most bytes of the answer";
};

pub(super) const DNS: &[Keyword] = keywords! {
    "type" OneOf(&["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA"]), MISSING, "what is asked for";
    "name" Text, MISSING, "name that is asked for";
};

pub(super) const SMTP: &[Keyword] = keywords! {
    "helo_name" Text, MISSING, "name in HELO";
    "host" Block(Scope::SmtpHost), MISSING, "another host to ask";
};

pub(super) const BFD: &[Keyword] = keywords! {
    "name" Text, MISSING, "the bfd_instance";
    "alpha" Bool, START, "down until the session is up";
};

pub(super) const FILE: &[Keyword] = keywords! {
    "track_file" Text, MISSING, "the track_file";
    "weight" Weight(2_147_483_647), MISSING, "what its number is multiplied by";
    "dynamic" Alone, MISSING, "the number changes the weight";
};
